"""Owns the pages about sessions: list, form, transcript, deletion; every write goes through the conversation."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import django
from django.contrib import admin
from django.contrib.admin.utils import quote, unquote
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import router
from django.db.models import Q, QuerySet
from django.db.models.functions import Coalesce
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.formats import number_format
from django.utils.html import format_html, format_html_join
from django.utils.text import capfirst
from django.utils.translation import gettext, gettext_lazy as _, ngettext

from chat_memory.admin.base import ScopedAdmin
from chat_memory.admin.branches import LISTED, View, page_of_row, sizes_of, view_of
from chat_memory.admin.filters import StatusFilter, WorkspaceFilter
from chat_memory.admin.forms import SessionForm
from chat_memory.admin.scope import Scope, scope_of
from chat_memory.admin.transcript import page_of
from chat_memory.exceptions import NotFound
from chat_memory.models import Message, Session

EDITABLE = _("Editable")
SHOWN_DELETIONS = 100
SPOKEN = Coalesce("head__message_count", "message_count")
IDENTITY = ("workspace", "key", "branch", "owner", "user_key")
STATE = ("message_count", "last_seq", "base_seq", "version", "created_at", "updated_at", "deleted_at")


class SessionList(ChangeList):
    """The list of conversations: branches are part of theirs, and metadata is not shown."""

    def get_queryset(self, request: HttpRequest, exclude_parameters: list[str | None] | None = None) -> Any:
        """The rows of the list."""
        rows = super().get_queryset(request, exclude_parameters).filter(parent=None).select_related("head")
        return rows.defer("metadata", "head__metadata")


@admin.register(Session)
class SessionAdmin(ScopedAdmin):
    """Sessions: found by key, title or user, read as a conversation, edited where a user may edit, deleted whole."""

    form = SessionForm
    list_display = ("name", "transcript", "updated_at", "workspace", "owner")
    list_select_related = ("workspace", "user", "head")
    list_filter = (WorkspaceFilter, StatusFilter, "updated_at")
    list_per_page = 50
    ordering = ("-updated_at", "-id")
    sortable_by = ("name", "transcript", "size", "updated_at")
    search_fields = ("key", "title", "user_key")
    search_help_text = _("Searches in key, title and user key.")
    fieldsets = (
        (None, {"fields": IDENTITY}),
        (EDITABLE, {"fields": SessionForm.Meta.fields}),
        (_("State"), {"fields": STATE}),
    )
    readonly_fields = IDENTITY + STATE

    class Media:
        css = {"all": ("chat_memory/admin/chat_memory.css",)}  # noqa: RUF012

    def reach(self, scope: Scope) -> Q:
        """See ``ScopedAdmin.reach``."""
        return scope.sessions()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """With the workspace, whose slug a session's conversation needs."""
        return super().get_queryset(request).select_related("workspace", "user")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:  # noqa: ARG002  # Django's
        """The list of conversations."""
        return SessionList

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Session | None:
        """As Django's; a branch of a session of the user's own is found too, which lists leave out."""
        found: Session | None = super().get_object(request, object_id, from_field)
        if found is not None:
            return found
        try:
            pk = self.opts.pk.to_python(object_id)
        except ValidationError:
            return None
        rows = Session.objects.using(router.db_for_write(Session)).filter(scope_of(request).branches(), pk=pk)
        return rows.select_related("workspace", "user").first()

    def get_fieldsets(self, request: HttpRequest, obj: Session | None = None) -> Any:
        """Without what may be edited for a branch: that is the conversation's."""
        fieldsets = super().get_fieldsets(request, obj)
        return [each for each in fieldsets if obj is None or obj.parent_id is None or each[0] != EDITABLE]

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """The bare count in place of the way to the transcript for whom that is closed."""
        columns = super().get_list_display(request)
        return [name if name != "transcript" or _may_read(request) else "size" for name in columns]

    @admin.display(description=_("session"), ordering="key")
    def name(self, session: Session) -> str:
        """Title, key and status in one column, so that a list of the usual width shows the others too."""
        lines = [
            ("cm-title", str(session)),
            ("cm-key", session.key if session.title else ""),
            *(("cm-tag", state) for state in _states(session)),
        ]
        return format_html_join("", '<span class="{}" dir="auto">{}</span>', [line for line in lines if line[1]])

    @admin.display(description=_("user"))
    def owner(self, session: Session) -> str:
        """The user's name, or the user key where there is no user."""
        return str(session.user) if session.user_id is not None else session.user_key

    @admin.display(description=_("status"))
    def status(self, session: Session) -> str:
        """What has happened to the session, in words."""
        return ", ".join(_states(session))

    @admin.display(description=_("conversation"), ordering=SPOKEN)
    def transcript(self, session: Session) -> str:
        """How many messages the branch that speaks shows, and the way to them."""
        return format_html(
            '<a href="{}">{}</a>', self._address("transcript", session), _messages(_speaker(session).message_count)
        )

    @admin.display(description=_("messages"), ordering=SPOKEN)
    def size(self, session: Session) -> int:
        """The same without the way."""
        return _speaker(session).message_count

    def extra_urls(self) -> list[URLPattern]:
        """See ``ScopedAdmin.extra_urls``."""
        place = "<path:object_id>/transcript/"
        return [
            path(place, self.transcript_view, name="chat_memory_session_transcript"),
            path(f"{place}main/", self.transcript_view, {"main": True}, name="chat_memory_session_main"),
        ]

    def transcript_view(self, request: HttpRequest, object_id: str, *, main: bool = False) -> HttpResponse:
        """The session as a conversation, a hundred messages a page; ``?before=``, ``?after=``, ``?at=`` a position.

        A branch shows itself, a conversation the branch that speaks, or with ``main`` the one it began with.
        """
        session = self.get_object(request, unquote(object_id))
        if session is None:
            raise Http404(gettext("There is no such session."))
        if not (self.has_view_or_change_permission(request, session) and _may_read(request)):
            raise PermissionDenied
        view = view_of(session, main=main)
        context = {
            **self.admin_site.each_context(request),
            "title": str(view.root),
            "opts": self.opts,
            "original": view.root,
            "shown": view.row,
            "owner": self.owner(view.root),
            "status": self.status(view.root),
            "branches": self._branches(view),
            "unlisted": max(0, len(view.branches) - LISTED),
            "summaries": view.summaries(),
            "breadcrumbs_are_a_list": django.VERSION >= (6, 1),
            "metadata": _metadata(view.root),
            "page": page_of(view, request.GET),
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "admin/chat_memory/session/transcript.html", context)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Django's form, with the way to the transcript."""
        context = {"may_read": _may_read(request), **(extra_context or {})}
        return super().change_view(request, object_id, form_url, context)

    def has_add_permission(self, _request: HttpRequest) -> bool:
        """Nobody: a session begins with its first message."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Session | None = None) -> bool:
        """Django's permission and a role that writes; what is deleted stays as it is, and so does a branch."""
        if not super().has_change_permission(request, obj):
            return False
        return obj is None or (_is_open(obj) and scope_of(request).writes(obj))

    def has_delete_permission(self, request: HttpRequest, obj: Session | None = None) -> bool:
        """Django's permission and a role that deletes; a branch goes with its conversation."""
        if not super().has_delete_permission(request, obj):
            return False
        return obj is None or (_is_open(obj) and scope_of(request).deletes(obj))

    def save_model(self, _request: HttpRequest, obj: Session, form: Any, _change: bool) -> None:
        """Through the conversation, so that version and token move; only what differs is written."""
        changes = form.changes()
        try:
            if changes:
                obj.history().update(**changes)
        except NotFound as error:
            raise Http404(str(error)) from error

    def delete_model(self, _request: HttpRequest, obj: Session) -> None:
        """Through the conversation: messages and branches go with it."""
        obj.history().delete()

    def delete_queryset(self, _request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Each through its conversation."""
        for session in list(queryset):
            session.history().delete()

    def get_deleted_objects(self, objs: Iterable[Session], request: HttpRequest) -> Any:
        """What goes, from the counters of the sessions: Django would load every message to list it."""
        sessions = list(objs)
        sizes = sizes_of(sessions)
        lines: list[Any] = list(map(self._deletion, sessions[:SHOWN_DELETIONS], sizes))
        if len(sessions) > SHOWN_DELETIONS:
            lines.append(gettext("and {number} more").format(number=len(sessions) - SHOWN_DELETIONS))
        counts = {
            self.opts.verbose_name_plural: len(sessions),
            Message._meta.verbose_name_plural: sum(sizes),
        }
        allowed = all(self.has_delete_permission(request, session) for session in sessions)
        return lines, counts, set() if allowed else {self.opts.verbose_name}, []

    def _deletion(self, session: Session, size: int) -> str:
        name, address = capfirst(self.opts.verbose_name), self._address("change", session)
        return format_html('{}: <a href="{}">{}</a>, {}', name, address, session, _messages(size))

    def _branches(self, view: View) -> list[dict[str, Any]]:
        """What the transcript says of each branch; nothing where there is only one."""
        rows = view.branches[:LISTED] if len(view.branches) > 1 else []
        return [
            {
                "name": row.branch,
                "address": self._address(page_of_row(row), row),
                "size": _messages(row.message_count),
                "is_shown": row is view.row,
                "speaks": row is view.speaker,
            }
            for row in rows
        ]

    def _address(self, page: str, session: Session) -> str:
        name = f"{self.admin_site.name}:chat_memory_session_{page}"
        return reverse(name, args=[quote(session.pk)], current_app=self.admin_site.name)


def _speaker(session: Session) -> Session:
    """The row whose messages a conversation shows."""
    return session.head or session


def _is_open(session: Session) -> bool:
    """Whether the row may be touched by hand at all: a conversation that is not deleted."""
    return session.deleted_at is None and session.parent_id is None


def _states(session: Session) -> list[str]:
    states = (
        (session.deleted_at, gettext("deleted")),
        (session.archived_at, gettext("archived")),
        (session.pinned, gettext("pinned")),
    )
    return [text for held, text in states if held]


def _messages(count: int) -> str:
    return ngettext("{count} message", "{count} messages", count).format(count=number_format(count))


def _metadata(session: Session) -> str:
    """The session's own metadata as indented JSON; "" where there is none."""
    return json.dumps(session.metadata, ensure_ascii=False, indent=2) if session.metadata else ""


def _may_read(request: HttpRequest) -> bool:
    """Whether Django's permissions open messages to the user."""
    user: Any = request.user
    return any(user.has_perm(f"chat_memory.{action}_message") for action in ("view", "change"))
