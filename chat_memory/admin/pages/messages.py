"""Owns the admin's pages of single messages, all read-only; the transcript shows them as a conversation."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import F, Q, QuerySet, Value
from django.db.models.functions import Coalesce, Left, NullIf
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.text import Truncator, format_lazy
from django.utils.timezone import localtime
from django.utils.translation import gettext, gettext_lazy as _

from chat_memory.admin.base import ScopedAdmin
from chat_memory.admin.filters import SessionWorkspaceFilter
from chat_memory.admin.json_text import readable
from chat_memory.admin.pages.shown_branch import former_of, redaction_of
from chat_memory.admin.presentation import entry_of
from chat_memory.admin.scope import Scope
from chat_memory.admin.session_texts import transcript_of_row
from chat_memory.choices import MAIN_BRANCH, State
from chat_memory.models import Message

EXCERPT = 160
SEARCHED = 20_000
EXPLAINED = _(
    "A turn is a user message and everything after it, up to the next user message. The state is complete for every "
    "message that is stored in one call, and redacted once what it said was removed."
)


class MessageList(ChangeList):
    """The list of messages; it loads only the beginning of each content."""

    def get_queryset(self, request: HttpRequest, exclude_parameters: list[str | None] | None = None) -> Any:
        """The rows of the list, without the messages that ``clear()`` has hidden."""
        listed = super().get_queryset(request, exclude_parameters).filter(seq__gt=F("session__base_seq"))
        text = Coalesce("content", NullIf("parts", Value("null")), "tool_calls")
        return listed.annotate(beginning=Left(text, EXCERPT)).defer(
            "content", "parts", "tool_calls", "metadata", "extra"
        )


@admin.register(Message)
class MessageAdmin(ScopedAdmin):
    """Messages, to search and to read one by one; nobody can add, change or delete a message by hand."""

    list_display = ("beginning", "role", "place", "created_at")
    list_select_related = ("workspace", "session")
    list_filter = (SessionWorkspaceFilter, "role", "created_at")
    list_per_page = 50
    ordering = ("-id",)
    sortable_by = ()
    search_fields = ("content",)
    search_help_text = format_lazy(
        _("Searches in the text of the newest {number} messages that the filters leave."), number=SEARCHED
    )
    fieldsets = (
        (None, {"fields": ("transcript", "workspace", "reading")}),
        (
            _("State"),
            {
                "fields": ("seq", "client_id", "turn", "tokens", "state", "redaction", "created_at"),
                "description": EXPLAINED,
            },
        ),
    )

    class Media:
        css = {"all": ("chat_memory/admin/chat_memory.css",)}  # noqa: RUF012

    def reach(self, scope: Scope) -> Q:
        """See ``ScopedAdmin.reach``."""
        return scope.messages()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """The messages with their sessions, which every page names."""
        return super().get_queryset(request).select_related("workspace", "session")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:  # noqa: ARG002  # Django's
        """The class of the list."""
        return MessageList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Search only the newest SEARCHED rows, so that a search never reads the whole table."""
        if search_term:
            oldest = queryset.order_by("-pk").values_list("pk", flat=True)[SEARCHED - 1 : SEARCHED]
            for pk in oldest:  # at most one; the planner turns the condition into a range scan of the primary key
                queryset = queryset.filter(pk__gte=pk)
        return super().get_search_results(request, queryset, search_term)

    @admin.display(description=_("message"))
    def beginning(self, message: Message) -> str:
        """The first characters of the content."""
        text: str = getattr(message, "beginning", None) or ""
        if text[:1] in {"{", "["}:
            text = readable(text)
        return Truncator(text).chars(EXCERPT - 1) or gettext("(no text)")

    @admin.display(description=_("conversation"))
    def transcript(self, message: Message) -> str:
        """The message's session, branch and position, as a link to the transcript."""
        address = transcript_of_row(self.admin_site, message.session)
        return format_html('<a href="{}?at={}#m{}">{}</a>', address, message.seq, message.seq, _place(message))

    @admin.display(description=_("conversation"))
    def place(self, message: Message) -> str:
        """The link to the transcript, and the workspace, in one column."""
        return format_html('{}<span class="cm-key">{}</span>', self.transcript(message), message.workspace)

    @admin.display(description=_("message"))
    def reading(self, message: Message) -> str:
        """The whole message, rendered as in the transcript."""
        entry = entry_of(message, former=former_of(message), whole=True)
        return render_to_string("admin/chat_memory/includes/message.html", {"entry": entry})

    @admin.display(description=_("redacted"))
    def redaction(self, message: Message) -> str | None:
        """When the message was redacted, and who asked for it where that is known."""
        if message.state != State.REDACTED.value:
            return None
        noted = redaction_of(message)
        if noted is None:
            return gettext("before it was imported")
        when = date_format(localtime(noted.redacted_at), "DATETIME_FORMAT")
        return gettext("{when}, by {user}").format(when=when, user=noted.by) if noted.by else when

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Django's page, with the message's session, branch and position as its subtitle."""
        return super().render_change_form(request, context | {"subtitle": _place(context["original"])}, *args, **kwargs)

    def has_add_permission(self, _request: HttpRequest) -> bool:
        """False: messages are read-only in the admin."""
        return False

    def has_change_permission(self, _request: HttpRequest, obj: Message | None = None) -> bool:  # noqa: ARG002  # Django's name
        """False: messages are read-only in the admin."""
        return False

    def has_delete_permission(self, _request: HttpRequest, obj: Message | None = None) -> bool:  # noqa: ARG002  # Django's name
        """False: a message is deleted only with its session."""
        return False


def _place(message: Message) -> str:
    session = message.session
    if session.branch == MAIN_BRANCH:
        return gettext("{session}, message {position}").format(session=session, position=message.seq)
    on_branch = gettext("{session}, branch {branch}, message {position}")
    return on_branch.format(session=session, branch=session.branch, position=message.seq)
