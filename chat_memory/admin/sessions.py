"""Owns the pages about sessions: list, form, transcript, deletion; every write goes through the conversation."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import django
from django.contrib import admin
from django.contrib.admin.utils import quote, unquote
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.formats import number_format
from django.utils.html import format_html, format_html_join
from django.utils.text import capfirst
from django.utils.translation import gettext, gettext_lazy as _, ngettext

from chat_memory.admin.base import ScopedAdmin
from chat_memory.admin.filters import StatusFilter, WorkspaceFilter
from chat_memory.admin.forms import SessionForm
from chat_memory.admin.scope import Scope, scope_of
from chat_memory.admin.transcript import page_of
from chat_memory.choices import MAIN_BRANCH
from chat_memory.exceptions import NotFound
from chat_memory.models import Message, Session

SHOWN_DELETIONS = 100
IDENTITY = ("workspace", "key", "branch", "owner", "user_key")
STATE = ("message_count", "last_seq", "base_seq", "version", "created_at", "updated_at", "deleted_at")


class SessionList(ChangeList):
    """The list of conversations: branches are part of theirs, and metadata is not shown."""

    def get_queryset(self, request: HttpRequest, exclude_parameters: list[str | None] | None = None) -> Any:
        """The rows of the list."""
        return super().get_queryset(request, exclude_parameters).filter(parent=None).defer("metadata")


@admin.register(Session)
class SessionAdmin(ScopedAdmin):
    """Sessions: found by key, title or user, read as a conversation, edited where a user may edit, deleted whole."""

    form = SessionForm
    list_display = ("name", "transcript", "updated_at", "workspace", "owner")
    list_select_related = ("workspace", "user")
    list_filter = (WorkspaceFilter, StatusFilter, "updated_at")
    list_per_page = 50
    ordering = ("-updated_at", "-id")
    sortable_by = ("name", "transcript", "message_count", "updated_at")
    search_fields = ("key", "title", "user_key")
    search_help_text = _("Searches in key, title and user key.")
    fieldsets = (
        (None, {"fields": IDENTITY}),
        (_("Editable"), {"fields": SessionForm.Meta.fields}),
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

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """The bare count in place of the way to the transcript for whom that is closed."""
        columns = super().get_list_display(request)
        return [name if name != "transcript" or _may_read(request) else "message_count" for name in columns]

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

    @admin.display(description=_("conversation"), ordering="message_count")
    def transcript(self, session: Session) -> str:
        """How many messages there are, and the way to them."""
        return format_html('<a href="{}">{}</a>', self._address("transcript", session), _messages(session))

    def extra_urls(self) -> list[URLPattern]:
        """See ``ScopedAdmin.extra_urls``."""
        return [path("<path:object_id>/transcript/", self.transcript_view, name="chat_memory_session_transcript")]

    def transcript_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The session as a conversation, a hundred messages a page; ``?before=``, ``?after=``, ``?at=`` a position."""
        session = self.get_object(request, unquote(object_id))
        if session is None:
            raise Http404(gettext("There is no such session."))
        if not (self.has_view_or_change_permission(request, session) and _may_read(request)):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "title": str(session),
            "opts": self.opts,
            "original": session,
            "owner": self.owner(session),
            "status": self.status(session),
            "main_branch": MAIN_BRANCH,
            "breadcrumbs_are_a_list": django.VERSION >= (6, 1),
            "metadata": _metadata(session),
            "page": page_of(session, request.GET),
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
        """Django's permission and a role that writes; what is deleted stays as it is."""
        if not super().has_change_permission(request, obj):
            return False
        return obj is None or (obj.deleted_at is None and scope_of(request).writes(obj))

    def has_delete_permission(self, request: HttpRequest, obj: Session | None = None) -> bool:
        """Django's permission and a role that deletes; what is deleted already waits for retention."""
        if not super().has_delete_permission(request, obj):
            return False
        return obj is None or (obj.deleted_at is None and scope_of(request).deletes(obj))

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
        lines: list[Any] = [self._deletion(session) for session in sessions[:SHOWN_DELETIONS]]
        if len(sessions) > SHOWN_DELETIONS:
            lines.append(gettext("and {number} more").format(number=len(sessions) - SHOWN_DELETIONS))
        counts = {
            self.opts.verbose_name_plural: len(sessions),
            Message._meta.verbose_name_plural: sum(session.message_count for session in sessions),
        }
        allowed = all(self.has_delete_permission(request, session) for session in sessions)
        return lines, counts, set() if allowed else {self.opts.verbose_name}, []

    def _deletion(self, session: Session) -> str:
        name, address = capfirst(self.opts.verbose_name), self._address("change", session)
        return format_html('{}: <a href="{}">{}</a>, {}', name, address, session, _messages(session))

    def _address(self, page: str, session: Session) -> str:
        name = f"{self.admin_site.name}:chat_memory_session_{page}"
        return reverse(name, args=[quote(session.pk)], current_app=self.admin_site.name)


def _states(session: Session) -> list[str]:
    states = (
        (session.deleted_at, gettext("deleted")),
        (session.archived_at, gettext("archived")),
        (session.pinned, gettext("pinned")),
    )
    return [text for held, text in states if held]


def _messages(session: Session) -> str:
    count = session.message_count
    return ngettext("{count} message", "{count} messages", count).format(count=number_format(count))


def _metadata(session: Session) -> str:
    """The session's own metadata as indented JSON; "" where there is none."""
    return json.dumps(session.metadata, ensure_ascii=False, indent=2) if session.metadata else ""


def _may_read(request: HttpRequest) -> bool:
    """Whether Django's permissions open messages to the user."""
    user: Any = request.user
    return any(user.has_perm(f"chat_memory.{action}_message") for action in ("view", "change"))
