"""Owns the admin's pages of feedback on messages, all read-only: people give and remove their own."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.text import Truncator
from django.utils.translation import gettext, gettext_lazy as _

from chat_memory.admin.base import ScopedAdmin
from chat_memory.admin.filters import SessionWorkspaceFilter
from chat_memory.admin.rows import with_users
from chat_memory.admin.scope import Scope, may_read_messages
from chat_memory.admin.session_texts import owner_of, transcript_of_row
from chat_memory.models import Feedback

EXCERPT = 160
FIELDS = ("verdict", "comment", "person", "user_key", "place", "workspace", "model", "created_at", "updated_at")


@admin.register(Feedback)
class FeedbackAdmin(ScopedAdmin):
    """Feedback, to find by vote, time, comment or person; nobody can add, change or delete it by hand."""

    list_display = ("verdict", "excerpt", "person", "place", "model", "updated_at")
    list_select_related = ("workspace", "session")
    list_filter = (SessionWorkspaceFilter, "vote", "updated_at")
    list_per_page = 50
    unlisted = ("session__metadata", "session__tags", "workspace__metadata")
    ordering = ("-id",)
    sortable_by = ()
    search_fields = ("comment", "user_key", "model")
    search_help_text = _("Searches in comment, user key and language model.")
    fields = FIELDS
    readonly_fields = FIELDS

    class Media:
        css = {"all": ("chat_memory/admin/chat_memory.css",)}  # noqa: RUF012

    def reach(self, scope: Scope) -> Q:
        """See ``ScopedAdmin.reach``: a user who may see a message may see its feedback."""
        return scope.messages()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """The feedback with the sessions and people that every page names."""
        return with_users(super().get_queryset(request).select_related("workspace", "session"))

    @admin.display(description=_("vote"))
    def verdict(self, feedback: Feedback) -> str:
        """The vote in words and as a sign."""
        return f"{feedback.vote:+d} {feedback.get_vote_display()}"

    @admin.display(description=_("comment"))
    def excerpt(self, feedback: Feedback) -> str:
        """The first characters of the comment."""
        return Truncator(feedback.comment).chars(EXCERPT - 1) or gettext("(no comment)")

    @admin.display(description=_("user"))
    def person(self, feedback: Feedback) -> str:
        """The user's name, or the user key where there is no user."""
        return owner_of(feedback)

    @admin.display(description=_("message"))
    def place(self, feedback: Feedback) -> str:
        """The message's session and position, as a link to the transcript."""
        said = gettext("{session}, message {position}").format(session=feedback.session, position=feedback.seq)
        address = transcript_of_row(self.admin_site, feedback.session)
        return format_html('<a href="{}?at={}#m{}">{}</a>', address, feedback.seq, feedback.seq, said)

    def has_view_permission(self, request: HttpRequest, obj: Feedback | None = None) -> bool:
        """Django's permission, and the permission to read messages, because a comment may quote one."""
        return super().has_view_permission(request, obj) and may_read_messages(request)

    def has_add_permission(self, _request: HttpRequest) -> bool:
        """False: only the person whose feedback it is can give it, through the API or the application."""
        return False

    def has_change_permission(self, _request: HttpRequest, obj: Feedback | None = None) -> bool:  # noqa: ARG002  # Django's name
        """False: only the person who gave feedback can change it."""
        return False

    def has_delete_permission(self, _request: HttpRequest, obj: Feedback | None = None) -> bool:  # noqa: ARG002  # Django's name
        """False: the person who gave feedback can remove it; otherwise it is deleted with its message."""
        return False
