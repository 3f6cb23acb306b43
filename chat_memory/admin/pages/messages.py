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
from django.utils.html import format_html, format_html_join
from django.utils.text import Truncator, format_lazy
from django.utils.timezone import localtime
from django.utils.translation import gettext, gettext_lazy as _

from chat_memory.admin.base import ScopedAdmin
from chat_memory.admin.filters import SessionWorkspaceFilter
from chat_memory.admin.json_text import readable
from chat_memory.admin.pages.former_texts import former_of
from chat_memory.admin.pages.paging import position
from chat_memory.admin.pages.shown_branch import redaction_of
from chat_memory.admin.pages.votes import newest_on
from chat_memory.admin.presentation import SECTIONS, entry_of
from chat_memory.admin.scope import Scope
from chat_memory.admin.session_texts import owner_of, transcript_of_row
from chat_memory.choices import MAIN_BRANCH, PARTIAL, State
from chat_memory.exceptions import ValidationError
from chat_memory.maintenance.sizes import bytes_of
from chat_memory.models import Message
from chat_memory.rules.searching import understood
from chat_memory.storage.orm import sub_apps

EXCERPT = 160
SEARCHED, SEARCHED_BYTES = 20_000, 32 * 1024 * 1024
"""A search without an index reads the newest messages: at most this many, and this many bytes, but at least one."""
HELP = format_lazy(
    _("Searches the newest {number} messages that match the filters, and at most the newest {size} MiB of their text."),
    number=SEARCHED,
    size=SEARCHED_BYTES // 1024**2,
)
HELP_WITH_INDEX = _('Searches for words in all messages: "an exact phrase", -excluded, one or other, prefix*.')
EXPLAINED = _(
    "A turn is a user message and everything after it, up to the next user message. The state is complete for every "
    "message that is stored in one call; stopped, failed or abandoned for a message that was cut short; and redacted "
    "after its contents were removed."
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
    unlisted = ("session__metadata", "session__tags", "workspace__metadata")
    ordering = ("-id",)
    sortable_by = ()
    search_fields = ("content",)
    fieldsets = (
        (None, {"fields": ("transcript", "workspace", "reading")}),
        (
            _("State"),
            {
                "fields": ("seq", "client_id", "turn", "tokens", "state", "redaction", "created_at", "feedback"),
                "description": EXPLAINED,
            },
        ),
    )

    class Media:
        css = {"all": ("chat_memory/admin/chat_memory.css",)}  # noqa: RUF012

    @property
    def search_help_text(self) -> Any:  # type: ignore[override]  # Django only reads it
        """The help text of the search field; it depends on whether there is a search index."""
        return HELP if sub_apps.search(None) is None else HELP_WITH_INDEX

    def matching(self, request: HttpRequest, queryset: QuerySet[Any], words: str) -> QuerySet[Any]:
        """The messages that the search index finds; without an index, Django's search in the rows of ``searched``."""
        store = sub_apps.search(queryset.db)
        if store is None:
            return super().matching(request, queryset, words)
        try:
            return store.narrowed(queryset, understood(words))
        except ValidationError:  # such as nothing but words to exclude
            return queryset.none()

    def reach(self, scope: Scope) -> Q:
        """See ``ScopedAdmin.reach``."""
        return scope.messages()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """The messages with their sessions, which every page names."""
        return super().get_queryset(request).select_related("workspace", "session")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:  # noqa: ARG002  # Django's
        """The class of the list."""
        return MessageList

    def searched(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The newest SEARCHED rows, or fewer if their texts together are longer than SEARCHED_BYTES."""
        newest = queryset.order_by("-pk").values_list("pk", bytes_of("content"))[:SEARCHED]
        read, oldest = 0, None
        for pk, size in newest:
            read += size
            if oldest is not None and read > SEARCHED_BYTES:
                break
            oldest = pk
        # The planner turns the condition into a range scan of the primary key.
        return queryset if oldest is None else queryset.filter(pk__gte=oldest)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Message | None:
        """Django's lookup; notes on the message which section and which former texts the URL asks for."""
        message: Message | None = super().get_object(request, object_id, from_field)
        if message is not None:
            message.former_before = position(request.GET.get("former_before"))  # type: ignore[attr-defined]
            default = SECTIONS[0] if message.former_before is None else "former"  # type: ignore[attr-defined]
            asked = request.GET.get("first")
            message.first = asked if asked in SECTIONS else default  # type: ignore[attr-defined]
        return message

    @admin.display(description=_("message"))
    def beginning(self, message: Message) -> str:
        """The first characters of the content."""
        text: str = getattr(message, "beginning", None) or ""
        if text[:1] in {"{", "["}:
            text = readable(text)
        said = Truncator(text).chars(EXCERPT - 1) or gettext("(no text)")
        if message.state not in PARTIAL:
            return said
        return format_html('{} <span class="cm-state">{}</span>', said, message.get_state_display())

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
        """The whole message, rendered as in the transcript; if it is too long for a page, the URL chooses a section."""
        former = former_of(message, getattr(message, "former_before", None))
        first = getattr(message, "first", SECTIONS[0])
        context = {"entry": entry_of(message, former=former, first=first), "whole": True}
        return render_to_string("admin/chat_memory/includes/message.html", context)

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

    def get_fieldsets(self, request: HttpRequest, obj: Message | None = None) -> Any:
        """The fieldsets; users who may not view feedback see none."""
        fieldsets: Any = super().get_fieldsets(request, obj)
        user: Any = request.user
        if user.has_perm("chat_memory.view_feedback"):
            return fieldsets
        return [
            (name, {**options, "fields": [field for field in options["fields"] if field != "feedback"]})
            for name, options in fieldsets
        ]

    @admin.display(description=_("feedback"))
    def feedback(self, message: Message) -> str | None:
        """The newest feedback on the message: vote, person and comment of each."""
        said = [(f"{each.vote:+d}", owner_of(each), each.comment) for each in newest_on(message)]
        return format_html_join("", '<p dir="auto"><b>{}</b> {}: {}</p>', said) or None

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
