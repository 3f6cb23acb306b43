"""Owns the admin's pages of sessions: list, form and deletion; every write goes through the conversation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Q, QuerySet
from django.db.models.functions import Coalesce
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.html import escape, format_html, format_html_join
from django.utils.translation import gettext, gettext_lazy as _

from chat_memory.admin.base import ScopedAdmin
from chat_memory.admin.filters import StatusFilter, WorkspaceFilter
from chat_memory.admin.forms import NEEDS_DELETION, SessionForm
from chat_memory.admin.pages import deletion, transcript
from chat_memory.admin.rows import rows, with_users
from chat_memory.admin.scope import Scope, may_read_messages, scope_of
from chat_memory.admin.session_texts import address_of, owner_of, sized, states_of
from chat_memory.exceptions import Busy, NotFound
from chat_memory.history.conversation import of_session
from chat_memory.models import Session
from chat_memory.rules.rights import Act
from chat_memory.storage.orm.judging import judged

EDITABLE = _("Editable")
CURRENT_SIZE = Coalesce("head__message_count", "message_count")
LAST_ACTIVE = "listed_at"
"""The order of lists: an indexed copy of ``active_at``, which lags by at most ACTIVITY_GRAIN seconds.

``active_at`` itself has no index, since every append changes it. Within a page the rows are sorted by it exactly.
"""
IDENTITY = ("workspace", "key", "branch", "owner", "user_key")
STATE = ("message_count", "last_seq", "base_seq", "version", "created_at", "active_at", "updated_at")


class SessionList(ChangeList):
    """The list of conversations, without rows of branches; metadata is not loaded."""

    def get_queryset(self, request: HttpRequest, exclude_parameters: list[str | None] | None = None) -> Any:
        """The rows of the list."""
        listed = super().get_queryset(request, exclude_parameters).filter(parent=None).select_related("head")
        return listed.defer("head__metadata", "head__tags")

    def get_results(self, request: HttpRequest) -> None:
        """The rows of the page; a page ordered by last activity is sorted by the exact time."""
        super().get_results(request)
        first = self.queryset.query.order_by[0]
        if first in {LAST_ACTIVE, f"-{LAST_ACTIVE}"}:
            self.result_list = sorted(self.result_list, key=_last_active, reverse=first != LAST_ACTIVE)


@admin.register(Session)
class SessionAdmin(ScopedAdmin):
    """Sessions, to find by key, title or user, to read as a transcript, to edit and to delete with all branches."""

    form = SessionForm
    list_display = ("name", "transcript", "last_active", "workspace", "owner")
    list_select_related = ("workspace", "head")
    list_filter = (WorkspaceFilter, StatusFilter, "active_at")
    list_per_page = 50
    unlisted = ("metadata", "tags", "workspace__metadata")
    ordering = (f"-{LAST_ACTIVE}", "-id")
    sortable_by = ("name", "transcript", "size", "last_active")
    search_fields = ("key", "title", "user_key")
    search_help_text = _("Searches in key, title and user key.")
    fieldsets = (
        (None, {"fields": IDENTITY}),
        (EDITABLE, {"fields": SessionForm.Meta.fields}),
        (_("State"), {"fields": STATE}),
    )
    readonly_fields = IDENTITY + STATE
    extra_pages = transcript.PAGES

    class Media:
        css = {"all": ("chat_memory/admin/chat_memory.css",)}  # noqa: RUF012

    def reach(self, scope: Scope) -> Q:
        """See ``ScopedAdmin.reach``."""
        return scope.sessions()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """The sessions with their workspaces, whose slugs the conversations need, and their users."""
        return with_users(super().get_queryset(request).select_related("workspace"))

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:  # noqa: ARG002  # Django's
        """The class of the list."""
        return SessionList

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Session | None:
        """Django's lookup; it also finds a branch of the user's own sessions, which ``reach`` leaves out."""
        session: Session | None = super().get_object(request, object_id, from_field)
        if session is not None:
            return session
        try:
            pk = self.opts.pk.to_python(object_id)
        except ValidationError:
            return None
        own = rows(Session).filter(scope_of(request).branches(), pk=pk)
        return with_users(own.select_related("workspace")).first()

    def get_fieldsets(self, request: HttpRequest, obj: Session | None = None) -> Any:
        """The fieldsets; a branch has no editable ones, since those fields belong to the conversation."""
        fieldsets = super().get_fieldsets(request, obj)
        if obj is not None and obj.parent_id is not None:
            return [each for each in fieldsets if each[0] != EDITABLE]
        if obj is None or obj.head_id is None:
            return fieldsets
        return [*fieldsets[:-1], (_("State"), {"fields": STATE, "description": _of_main(obj.current)})]

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """The columns; users who may not read messages see the count without the link to the transcript."""
        columns = super().get_list_display(request)
        return [name if name != "transcript" or may_read_messages(request) else "size" for name in columns]

    @admin.display(description=_("session"), ordering="key")
    def name(self, session: Session) -> str:
        """Title, key and status in one column, which leaves room for the others."""
        lines = [
            ("cm-title", session.title or session.key),
            ("cm-key", session.key if session.title else ""),
            *(("cm-tag", state) for state in states_of(session)),
        ]
        return format_html_join("", '<span class="{}" dir="auto">{}</span>', [line for line in lines if line[1]])

    @admin.display(description=_("last active"), ordering=LAST_ACTIVE)
    def last_active(self, session: Session) -> datetime:
        """When the newest message was written, exactly."""
        return session.active_at

    @admin.display(description=_("user"))
    def owner(self, session: Session) -> str:
        """The user's name, or the user key where there is no user."""
        return owner_of(session)

    @admin.display(description=_("conversation"), ordering=CURRENT_SIZE)
    def transcript(self, session: Session) -> str:
        """The number of messages on the current branch, as a link to the transcript."""
        address = address_of(self.admin_site, "transcript", session)
        return format_html('<a href="{}">{}</a>', address, sized(session.current.message_count))

    @admin.display(description=_("messages"), ordering=CURRENT_SIZE)
    def size(self, session: Session) -> int:
        """The number of messages on the current branch, without a link."""
        return session.current.message_count

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Django's form, with a link to the transcript for users who may read messages."""
        context = {"may_read": may_read_messages(request), **(extra_context or {})}
        return super().change_view(request, object_id, form_url, context)

    def has_add_permission(self, _request: HttpRequest) -> bool:
        """False: sessions are created by the application, not by hand."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Session | None = None) -> bool:
        """Django's permission and a role that may write; deleted sessions and branches cannot be edited."""
        if not super().has_change_permission(request, obj):
            return False
        return obj is None or (_is_open(obj) and scope_of(request).may(Act.WRITE, obj))

    def has_delete_permission(self, request: HttpRequest, obj: Session | None = None) -> bool:
        """Django's permission and a role that may delete; a branch is deleted only with its conversation."""
        if not super().has_delete_permission(request, obj):
            return False
        return obj is None or (_is_open(obj) and scope_of(request).may(Act.DELETE, obj))

    def get_form(self, request: HttpRequest, obj: Session | None = None, change: bool = False, **kwargs: Any) -> Any:
        """Django's form class, made for this request; ``may_delete`` tells whether the user may delete the session."""
        form: Any = super().get_form(request, obj, change, **kwargs)
        form.may_delete = obj is not None and self.has_delete_permission(request, obj)
        return form

    def save_model(self, _request: HttpRequest, obj: Session, form: Any, _change: bool) -> None:
        """Write the changed fields through the conversation, which also moves the version and the token.

        Raises:
            Http404: the session was deleted meanwhile.
            PermissionDenied: the session was changed since the form was checked; saving would remove it sooner now.
        """
        changes, chat = form.changes(), of_session(obj)

        def judge(stored: Mapping[str, Any]) -> None:
            if form.shortened(stored, changes):
                raise PermissionDenied(NEEDS_DELETION)

        try:
            if changes:
                judged(str(obj._state.db), chat.place.address, judge, partial(chat.update, **changes))
        except NotFound as error:
            raise Http404(str(error)) from error

    def delete_model(self, _request: HttpRequest, obj: Session) -> None:
        """Delete through the conversation, with all messages and branches."""
        of_session(obj).delete()

    def delete_queryset(self, _request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Delete each session through its conversation, which locks it first.

        Raises:
            Busy: other transactions lock some of the sessions; all others are deleted.
        """
        held = []
        for session in list(queryset):
            try:
                of_session(session).delete()
            except Busy as error:
                held.append(error)
        if held:
            raise held[0]

    def get_deleted_objects(self, objs: Iterable[Session], request: HttpRequest) -> Any:
        """The confirmation before a deletion; its numbers come from counters."""
        return deletion.of_sessions(list(objs), self.admin_site, lambda each: self.has_delete_permission(request, each))


def _of_main(current: Session) -> str:
    """The note that the numbers on the page belong to main, while the list shows those of the current branch."""
    text = gettext("The numbers below are those of the branch main. The current branch is {branch}, with {size}.")
    return format_html(escape(text), branch=current.branch, size=sized(current.message_count))


def _last_active(session: Session) -> tuple[datetime, Any]:
    return session.active_at, session.pk


def _is_open(session: Session) -> bool:
    """Whether the row may be edited or deleted by hand: it is not a branch, and not marked as deleted."""
    return session.deleted_at is None and session.parent_id is None
