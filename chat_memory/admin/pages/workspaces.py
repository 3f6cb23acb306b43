"""Owns the admin's pages of workspaces; a workspace's page also shows its members."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext, gettext_lazy as _

from chat_memory.admin.base import ScopedAdmin
from chat_memory.admin.forms import WorkspaceForm
from chat_memory.admin.member_table import LISTED
from chat_memory.admin.pages import deletion
from chat_memory.admin.pages.members import WorkspaceMemberInline
from chat_memory.admin.rows import rows
from chat_memory.admin.scope import Scope, scope_of
from chat_memory.choices import MemberRole
from chat_memory.models import Workspace, WorkspaceMember
from chat_memory.storage.orm.removal import remove_workspace


@admin.register(Workspace)
class WorkspaceAdmin(ScopedAdmin):
    """Workspaces; the slug of an existing workspace cannot be changed, since programs refer to it."""

    form = WorkspaceForm
    list_display = ("slug", "name", "sessions", "created_at")
    search_fields = ("slug", "name")
    unlisted = ("metadata",)
    inlines = (WorkspaceMemberInline,)

    class Media:
        css = {"all": ("chat_memory/admin/chat_memory.css",)}  # noqa: RUF012

    def reach(self, scope: Scope) -> Q:
        """See ``ScopedAdmin.reach``."""
        return scope.workspaces()

    def get_readonly_fields(self, _request: HttpRequest, obj: Workspace | None = None) -> tuple[str, ...]:
        """The read-only fields of an existing workspace."""
        return ("slug", "sessions", "all_members", "created_at") if obj else ()

    def get_fields(self, _request: HttpRequest, obj: Workspace | None = None) -> tuple[str, ...]:
        """The fields of the form; for an existing workspace also the link to its sessions and its age."""
        settable = ("slug", "name", "metadata")
        return (*settable, "sessions", "all_members", "created_at") if obj else settable

    @admin.display(description=_("sessions"))
    def sessions(self, workspace: Workspace) -> str:
        """A link to the list of the workspace's sessions."""
        return self._list(workspace, "session", gettext("Show the sessions"))

    @admin.display(description=_("members"))
    def all_members(self, workspace: Workspace) -> str:
        """A link to the list of the workspace's members; the table on the page has only the first ones."""
        text = gettext("Show all members: the table has the first {number}").format(number=LISTED)
        return self._list(workspace, "workspacemember", text)

    def has_change_permission(self, request: HttpRequest, obj: Workspace | None = None) -> bool:
        """Django's permission and the role admin."""
        return super().has_change_permission(request, obj) and scope_of(request).administers_or_makes(obj)

    def has_delete_permission(self, request: HttpRequest, obj: Workspace | None = None) -> bool:
        """Django's permission and the role admin."""
        return super().has_delete_permission(request, obj) and scope_of(request).administers_or_makes(obj)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Save the members; the creator of a workspace becomes its admin.

        A superuser does not need the membership; other users could not see the new workspace without it.
        """
        super().save_related(request, form, formsets, change)
        if not change and not scope_of(request).everything:
            membership = {"workspace": form.instance, "user_id": scope_of(request).user_id}
            rows(WorkspaceMember).get_or_create(**membership, defaults={"role": MemberRole.ADMIN.value})

    def delete_model(self, _request: HttpRequest, obj: Workspace) -> None:
        """Delete a workspace with everything in it."""
        self._remove([obj])

    def delete_queryset(self, _request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Delete each workspace with everything in it."""
        self._remove(queryset)

    def get_deleted_objects(self, objs: Iterable[Workspace], request: HttpRequest) -> Any:
        """The confirmation before a deletion, with numbers instead of every row.

        Sessions are deleted too, so the user also needs Django's permission to delete sessions.
        """
        user: Any = request.user
        may_delete_sessions = user.has_perm("chat_memory.delete_session")
        return deletion.of_workspaces(
            list(objs), lambda each: self.has_delete_permission(request, each), may_delete_sessions=may_delete_sessions
        )

    def _list(self, workspace: Workspace, model: str, text: str) -> str:
        site = self.admin_site.name
        address = reverse(f"{site}:chat_memory_{model}_changelist", current_app=site)
        return format_html('<a href="{}?workspace={}">{}</a>', address, workspace.slug, text)

    def _remove(self, workspaces: Iterable[Workspace]) -> None:
        for workspace in workspaces:
            remove_workspace(str(workspace._state.db), workspace.pk)
