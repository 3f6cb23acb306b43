"""Owns the pages about workspaces and their members; it must not touch single sessions or messages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db import router, transaction
from django.db.models import Count, Q, QuerySet, Sum
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.text import capfirst
from django.utils.translation import gettext, gettext_lazy as _

from chat_memory.admin.base import ScopedAdmin
from chat_memory.admin.filters import WorkspaceFilter
from chat_memory.admin.forms import WorkspaceForm
from chat_memory.admin.scope import Scope, scope_of
from chat_memory.choices import MemberRole
from chat_memory.models import Message, Session, Workspace, WorkspaceMember

if TYPE_CHECKING:
    TabularInline = admin.TabularInline[Any, Any]
else:
    TabularInline = admin.TabularInline


class WorkspaceMemberInline(TabularInline):
    """Who belongs to the workspace; only who administers it may say so."""

    model = WorkspaceMember
    extra = 0
    raw_id_fields = ("user",)

    def get_autocomplete_fields(self, request: HttpRequest) -> list[str]:
        """The user is searched for where the host's admin can do that."""
        return _searchable(self.admin_site, request, WorkspaceMember, ("user",))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """With the users, whom each line names."""
        return super().get_queryset(request).select_related("user")

    def has_add_permission(self, request: HttpRequest, obj: Workspace | None = None) -> bool:
        """Django's permission and the role admin; whoever makes a workspace administers it."""
        return super().has_add_permission(request, obj) and _administers(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Workspace | None = None) -> bool:
        """Django's permission and the role admin."""
        return super().has_change_permission(request, obj) and _administers(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Workspace | None = None) -> bool:
        """Django's permission and the role admin."""
        return super().has_delete_permission(request, obj) and _administers(request, obj)


@admin.register(Workspace)
class WorkspaceAdmin(ScopedAdmin):
    """Workspaces: the slug is fixed once it is used, since programs name the workspace by it."""

    form = WorkspaceForm
    list_display = ("slug", "name", "sessions", "created_at")
    search_fields = ("slug", "name")
    inlines = (WorkspaceMemberInline,)

    class Media:
        css = {"all": ("chat_memory/admin/chat_memory.css",)}  # noqa: RUF012

    def reach(self, scope: Scope) -> Q:
        """See ``ScopedAdmin.reach``."""
        return scope.workspaces()

    def get_readonly_fields(self, _request: HttpRequest, obj: Workspace | None = None) -> tuple[str, ...]:
        """The slug of a workspace that exists."""
        return ("slug", "sessions", "created_at") if obj else ()

    def get_fields(self, _request: HttpRequest, obj: Workspace | None = None) -> tuple[str, ...]:
        """What can be given; of a workspace that exists also what is so."""
        return ("slug", "name", "metadata", "sessions", "created_at") if obj else ("slug", "name", "metadata")

    @admin.display(description=_("sessions"))
    def sessions(self, workspace: Workspace) -> str:
        """The way to the workspace's sessions."""
        address = reverse(f"{self.admin_site.name}:chat_memory_session_changelist", current_app=self.admin_site.name)
        return format_html('<a href="{}?workspace={}">{}</a>', address, workspace.slug, gettext("Show the sessions"))

    def has_change_permission(self, request: HttpRequest, obj: Workspace | None = None) -> bool:
        """Django's permission and the role admin."""
        return super().has_change_permission(request, obj) and _administers(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Workspace | None = None) -> bool:
        """Django's permission and the role admin."""
        return super().has_delete_permission(request, obj) and _administers(request, obj)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Whoever makes a workspace without being a superuser becomes its admin, else it would be out of sight."""
        super().save_related(request, form, formsets, change)
        if not change and not scope_of(request).everything:
            role = {"role": MemberRole.ADMIN.value}
            WorkspaceMember.objects.get_or_create(
                workspace=form.instance, user_id=scope_of(request).user_id, defaults=role
            )

    def delete_model(self, _request: HttpRequest, obj: Workspace) -> None:
        """With everything in it."""
        _delete([obj.pk])

    def delete_queryset(self, _request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Each with everything in it."""
        _delete(list(queryset.values_list("pk", flat=True)))

    def get_deleted_objects(self, objs: Iterable[Workspace], request: HttpRequest) -> Any:
        """What goes, as numbers: Django would load every session and message to list them."""
        workspaces = list(objs)
        name = capfirst(self.opts.verbose_name)
        lines = [format_html("{}: {}", name, workspace) for workspace in workspaces]
        inside = Q(workspace__in=workspaces)
        sums = Session.objects.filter(inside).aggregate(sessions=Count("pk"), messages=Sum("message_count", default=0))
        counts = {
            self.opts.verbose_name_plural: len(workspaces),
            WorkspaceMember._meta.verbose_name_plural: WorkspaceMember.objects.filter(inside).count(),
            Session._meta.verbose_name_plural: sums["sessions"],
            Message._meta.verbose_name_plural: sums["messages"],
        }
        allowed = all(self.has_delete_permission(request, workspace) for workspace in workspaces)
        return lines, counts, set() if allowed else {self.opts.verbose_name}, []


@admin.register(WorkspaceMember)
class WorkspaceMemberAdmin(ScopedAdmin):
    """Memberships across workspaces; the same rows as the workspace's own page shows."""

    list_display = ("user", "workspace", "role", "may_send_system", "may_send_tool")
    list_select_related = ("user", "workspace")
    list_filter = (WorkspaceFilter, "role")
    search_fields = ("workspace__slug", "workspace__name")
    raw_id_fields = ("workspace", "user")

    def get_autocomplete_fields(self, request: HttpRequest) -> list[str]:
        """Both are searched for where the admin can do that."""
        return _searchable(self.admin_site, request, WorkspaceMember, ("workspace", "user"))

    def reach(self, scope: Scope) -> Q:
        """See ``ScopedAdmin.reach``."""
        return scope.members()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """With both ends, which every page names."""
        return super().get_queryset(request).select_related("user", "workspace")

    def get_field_queryset(self, db: str | None, db_field: Any, request: HttpRequest) -> QuerySet[Any] | None:
        """A member is put into a workspace that the user administers."""
        if db_field.name == "workspace":
            return Workspace.objects.using(db).filter(scope_of(request).administered())
        return super().get_field_queryset(db, db_field, request)

    def has_change_permission(self, request: HttpRequest, obj: WorkspaceMember | None = None) -> bool:
        """Django's permission and the role admin."""
        allowed = super().has_change_permission(request, obj)
        return allowed and (obj is None or scope_of(request).administers(obj.workspace_id))

    def has_delete_permission(self, request: HttpRequest, obj: WorkspaceMember | None = None) -> bool:
        """Django's permission and the role admin."""
        allowed = super().has_delete_permission(request, obj)
        return allowed and (obj is None or scope_of(request).administers(obj.workspace_id))


def _searchable(site: admin.AdminSite, request: HttpRequest, model: Any, names: Sequence[str]) -> list[str]:
    """Those foreign keys whose model this user may search in this admin: a host may have no page for its users."""
    models = {name: model._meta.get_field(name).remote_field.model for name in names}
    pages = {name: site.get_model_admin(found) for name, found in models.items() if site.is_registered(found)}
    return [
        name for name, page in pages.items() if page.get_search_fields(request) and page.has_view_permission(request)
    ]


def _administers(request: HttpRequest, workspace: Workspace | None) -> bool:
    return workspace is None or workspace._state.adding or scope_of(request).administers(workspace.pk)


def _delete(ids: list[int]) -> None:
    """Remove workspaces and all in them by Django's cascade.

    The rows are locked first, as every writer locks them: a message that arrives meanwhile waits and then finds no
    session, where it would otherwise make the cascade fail at its end.
    """
    alias = router.db_for_write(Workspace)
    with transaction.atomic(using=alias):
        workspaces = Workspace.objects.using(alias).filter(pk__in=ids)
        sessions = Session.objects.using(alias).filter(workspace_id__in=ids).order_by("pk")
        for rows in (workspaces.order_by("pk"), sessions):
            list(rows.select_for_update().values_list("pk", flat=True))
        workspaces.delete()
