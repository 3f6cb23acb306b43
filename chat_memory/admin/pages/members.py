"""Owns the admin's pages of memberships: the list of all, and the table on a workspace's page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.widgets import AutocompleteSelect
from django.core.exceptions import ValidationError
from django.db import router
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from chat_memory.admin.base import ScopedAdmin
from chat_memory.admin.filters import WorkspaceFilter
from chat_memory.admin.member_table import MOST_FORMS, MemberForm, MemberFormSet
from chat_memory.admin.rows import ReadsWhereItWrites, rows, with_users
from chat_memory.admin.scope import Scope, scope_of
from chat_memory.models import Workspace, WorkspaceMember

if TYPE_CHECKING:
    BaseModelAdmin = admin.options.BaseModelAdmin[Any]
    TabularInline = admin.TabularInline[Any, Any]
else:
    BaseModelAdmin = object
    TabularInline = admin.TabularInline


class Suggestions(AutocompleteSelect):
    """Django's select box with suggestions; it queries the database for the row that it shows as chosen."""

    def optgroups(self, name: str, value: Iterable[Any], attrs: Any = None) -> Any:
        """Django's; a value that cannot be a key, which a form or an address may have, is ignored instead of a 500."""
        return super().optgroups(name, [each for each in value if self._is_key(each)], attrs)

    def _is_key(self, value: Any) -> bool:
        field: Any = self.field
        try:
            field.target_field.to_python(value)
        except ValidationError:
            return False
        return "\x00" not in str(value)


class SuggestsRows(BaseModelAdmin):
    """Shows the foreign keys of ``get_autocomplete_fields`` as ``Suggestions``."""

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Django's, with this widget in place of Django's own."""
        using = kwargs.setdefault("using", router.db_for_write(db_field.remote_field.model))
        if db_field.name in self.get_autocomplete_fields(request):
            kwargs.setdefault("widget", Suggestions(db_field, self.admin_site, using=using))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)


class WorkspaceMemberInline(SuggestsRows, ReadsWhereItWrites, TabularInline):
    """The first members on a workspace's page; only admins of the workspace may change them."""

    model = WorkspaceMember
    form = MemberForm
    formset = MemberFormSet
    extra = 0
    max_num = MOST_FORMS
    raw_id_fields = ("user",)

    def get_formset(self, request: HttpRequest, obj: Workspace | None = None, **kwargs: Any) -> Any:
        """Django's formset class, limited to MOST_FORMS submitted rows."""
        return super().get_formset(request, obj, absolute_max=MOST_FORMS, **kwargs)

    def get_autocomplete_fields(self, request: HttpRequest) -> list[str]:
        """Autocompletion for the user, if the host's admin can search users."""
        return _searchable(self.admin_site, request, ("user",))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """The memberships with their users, whose names the table shows."""
        return with_users(super().get_queryset(request))

    def has_add_permission(self, request: HttpRequest, obj: Workspace | None = None) -> bool:
        """Django's permission and the role admin; the creator of a workspace counts as its admin."""
        return super().has_add_permission(request, obj) and scope_of(request).administers_or_makes(obj)

    def has_change_permission(self, request: HttpRequest, obj: Workspace | None = None) -> bool:
        """Django's permission and the role admin."""
        return super().has_change_permission(request, obj) and scope_of(request).administers_or_makes(obj)

    def has_delete_permission(self, request: HttpRequest, obj: Workspace | None = None) -> bool:
        """Django's permission and the role admin."""
        return super().has_delete_permission(request, obj) and scope_of(request).administers_or_makes(obj)


@admin.register(WorkspaceMember)
class WorkspaceMemberAdmin(SuggestsRows, ScopedAdmin):
    """The memberships of all workspaces the user belongs to."""

    list_display = ("member", "workspace", "role", "may_send_system", "may_send_tool")
    list_select_related = ("workspace",)
    list_filter = (WorkspaceFilter, "role")
    search_fields = ("workspace__slug", "workspace__name")
    unlisted = ("workspace__metadata",)
    raw_id_fields = ("workspace", "user")

    def get_autocomplete_fields(self, request: HttpRequest) -> list[str]:
        """Autocompletion for user and workspace, as far as the admin can search them."""
        return _searchable(self.admin_site, request, ("workspace", "user"))

    def reach(self, scope: Scope) -> Q:
        """See ``ScopedAdmin.reach``."""
        return scope.members()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """The memberships with their users and workspaces, which every page names."""
        return with_users(super().get_queryset(request).select_related("workspace"))

    @admin.display(description=_("user"), ordering="user_id")
    def member(self, membership: WorkspaceMember) -> str:
        """The user; ordered by primary key, since users may be in another database."""
        return membership.user_name

    def get_field_queryset(self, db: str | None, db_field: Any, request: HttpRequest) -> QuerySet[Any] | None:
        """The choices of a form field; only workspaces the user administers can be chosen."""
        if db_field.name == "workspace":
            return rows(Workspace).filter(scope_of(request).administered())
        return super().get_field_queryset(db, db_field, request)

    def has_change_permission(self, request: HttpRequest, obj: WorkspaceMember | None = None) -> bool:
        """Django's permission and the role admin."""
        allowed = super().has_change_permission(request, obj)
        return allowed and (obj is None or scope_of(request).administers(obj.workspace_id))

    def has_delete_permission(self, request: HttpRequest, obj: WorkspaceMember | None = None) -> bool:
        """Django's permission and the role admin."""
        allowed = super().has_delete_permission(request, obj)
        return allowed and (obj is None or scope_of(request).administers(obj.workspace_id))


def _searchable(site: admin.AdminSite, request: HttpRequest, names: Sequence[str]) -> list[str]:
    """The foreign keys whose model the user may search in this admin; a host may have no admin page for users."""
    models: dict[str, Any] = {name: WorkspaceMember._meta.get_field(name).related_model for name in names}
    pages = {name: site.get_model_admin(model) for name, model in models.items() if site.is_registered(model)}
    return [
        name for name, page in pages.items() if page.get_search_fields(request) and page.has_view_permission(request)
    ]
