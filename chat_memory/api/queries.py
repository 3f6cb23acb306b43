"""Owns the query parameters that the API's addresses take, as msgspec reads them and OpenAPI documents them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from chat_memory.api.http.pages import CursorQuery, Number, PageQuery
from chat_memory.rules.searching import LARGEST_PAGE

Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class NoQuery(msgspec.Struct, frozen=True):
    """The query of an address that takes no parameters."""


class BranchQuery(msgspec.Struct, frozen=True):
    """The branch of the session; the current branch where none is named."""

    branch: str | None = None


class ChangesQuery(PageQuery, frozen=True):
    """The changes that a client with a copy of a session's messages asks for.

    Attributes:
        cursor: ``cursor`` of the previous response; without it, everything is sent from the start.
        branch: the branch of the session; the current branch where none is named.
    """

    cursor: str | None = None
    branch: str | None = None


class SessionChangesQuery(PageQuery, frozen=True):
    """The changes that a client with a copy of the list of sessions asks for.

    Attributes:
        cursor: ``cursor`` of the previous response; without it, everything is sent from the start.
    """

    cursor: str | None = None


class SessionQuery(CursorQuery, frozen=True):
    """The conditions of a list of sessions; a session must meet all that are given.

    Attributes:
        key: the session with this key.
        user_key: sessions of this user.
        title: sessions whose title contains this text, ignoring case.
        tag: sessions with this tag; if the parameter is repeated, sessions with all these tags.
        since: sessions whose newest message is from this time or later.
        until: sessions whose newest message is from before this time.
        archived: true: archived sessions; false: the others.
        pinned: true: pinned sessions; false: the others.
    """

    key: str | None = None
    user_key: str | None = None
    title: str | None = None
    tag: list[str] = msgspec.field(default_factory=list)
    since: Moment | None = None
    until: Moment | None = None
    archived: bool | None = None
    pinned: bool | None = None


class SearchQuery(CursorQuery, frozen=True, kw_only=True):
    """A search through messages, and the conditions that a message or its session must meet.

    Attributes:
        q: the search: words, "an exact phrase", -excluded, one or other, prefix*.
        user_key: in sessions of this user.
        since: messages of this time or later.
        until: messages from before this time.
        archived: true: in archived sessions; false: in the others.
        pinned: true: in pinned sessions; false: in the others.
    """

    q: str
    user_key: str | None = None
    since: Moment | None = None
    until: Moment | None = None
    archived: bool | None = None
    pinned: bool | None = None

    @property
    def size(self) -> int:
        """Rows per page, at most LARGEST_PAGE of a search."""
        return min(self.page_size, LARGEST_PAGE)


class MessageQuery(PageQuery, frozen=True):
    """The conditions of a list of messages; without a position, the newest page.

    Attributes:
        branch: the branch to read; the current branch where none is named.
        after_seq: messages after this position.
        before_seq: messages before this position.
        id: the message with this id; cannot be combined with a position.
    """

    branch: str | None = None
    after_seq: Number | None = None
    before_seq: Number | None = None
    id: str | None = None


class DraftQuery(BranchQuery, frozen=True):
    """A request for a draft's text.

    Attributes:
        branch: where to look for the finished message; the current branch where none is named.
        after: leave out this many characters, usually the ``length`` of the previous response.
    """

    after: Number = 0


class DraftByIdQuery(DraftQuery, frozen=True, kw_only=True):
    """A request for a draft's text by the id of its message, which may have any characters."""

    id: str


class DraftStopQuery(BranchQuery, frozen=True, kw_only=True):
    """The id of the message whose draft is to stop, and the branch to look for the message if the draft has ended."""

    id: str


class FeedbackQuery(CursorQuery, frozen=True):
    """The branch of a list of feedback; the current branch where none is named."""

    branch: str | None = None


class AttachmentQuery(msgspec.Struct, frozen=True):
    """The name of the file that is uploaded, for people."""

    name: str = ""


class VotesQuery(msgspec.Struct, frozen=True):
    """The grouping and the period of the feedback sums.

    Attributes:
        by: day or model; without it, only the totals.
        since: count feedback given, or last changed, at this time or later.
        until: count feedback given, or last changed, before this time.
    """

    by: Literal["day", "model"] | None = None
    since: Moment | None = None
    until: Moment | None = None


class ContextQuery(msgspec.Struct, frozen=True):
    """The size of a context for a language model: exactly one of ``turns``, ``messages`` and ``tokens``."""

    branch: str | None = None
    turns: Number | None = None
    messages: Number | None = None
    tokens: Number | None = None


QUERIES: tuple[Any, ...] = (
    CursorQuery,
    ChangesQuery,
    SessionChangesQuery,
    SessionQuery,
    SearchQuery,
    MessageQuery,
    ContextQuery,
    BranchQuery,
    DraftQuery,
    DraftByIdQuery,
    DraftStopQuery,
    FeedbackQuery,
    VotesQuery,
    AttachmentQuery,
    NoQuery,
)
"""All of them, for ``msgspec.json.schema_components``."""
