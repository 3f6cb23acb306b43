"""Owns the shapes of the API's bodies, as msgspec reads and writes them and OpenAPI documents them.

Names ending in Out are responses, names ending in In or Patch are request bodies; ``queries`` has what an address
takes. The fields of sessions and messages come from ``chat_memory.fields``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any, get_type_hints
from uuid import UUID

import msgspec

from chat_memory.api.http.pages import ContextPage, MessagePage, Page
from chat_memory.api.http.problems import Problem
from chat_memory.api.queries import QUERIES
from chat_memory.choices import MemberRole
from chat_memory.fields import GIVEN, SETTABLE
from chat_memory.records import (
    Branch,
    Hit,
    Message,
    SessionRecord,
    Sibling,
    VotesOfDay,
    VotesOfModel,
)
from chat_memory.storage.mapping import MessageJson

MemberRoleName = Annotated[str, msgspec.Meta(extra_json_schema={"enum": list(MemberRole.values)})]


class RootOut(msgspec.Struct, frozen=True):
    """The root of the API; ``workspaces`` is the address of the list of workspaces."""

    workspaces: str


class WorkspaceOut(msgspec.Struct, frozen=True):
    """A workspace, with the requesting user's role and grants in it."""

    slug: str
    name: str
    role: MemberRoleName
    may_send_system: bool
    may_send_tool: bool
    created_at: datetime


class SessionOut(msgspec.Struct, frozen=True):
    """A session.

    Attributes:
        id: the session's id in the addresses of the API.
        key: the session's key in the application, unique in the workspace.
        user_key: the owner's key; "" where the session has no owner.
        title: the title; "" where there is none.
        tags: the application's tags.
        metadata: the application's own JSON object.
        pinned: whether the session is pinned.
        archived_at: when the session was archived; null where it is not.
        expires_at: when the session expires; null: never.
        message_count: the number of visible messages on the current branch.
        last_seq: the position of the newest message on the current branch.
        version: the version of the current branch.
        created_at: when the session was created.
        updated_at: when anything in the session last changed.
        active_at: the time of the newest message; without messages, when the session was created.
    """

    id: UUID
    key: str
    user_key: str
    title: str
    tags: list[str]
    metadata: dict[str, Any]
    pinned: bool
    archived_at: datetime | None
    expires_at: datetime | None
    message_count: int
    last_seq: int
    version: int
    created_at: datetime
    updated_at: datetime
    active_at: datetime


class FoundOut(msgspec.Struct, frozen=True):
    """A session in which messages were found.

    Attributes:
        id: the session's id in the addresses of the API.
        key: the session's key.
        user_key: the owner's key; "" where the session has no owner.
        title: the title; "" where there is none.
        pinned: whether the session is pinned.
        archived_at: when the session was archived; null where it is not.
        active_at: the time of the newest message.
        hits: the number of its messages found, among those that the search looked at.
        hit: the best match, with an excerpt in pieces of plain text; some pieces are marked as matching.
    """

    id: UUID
    key: str
    user_key: str
    title: str
    pinned: bool
    archived_at: datetime | None
    active_at: datetime
    hits: int
    hit: Hit


class MessageOut(MessageJson, frozen=True):
    """A message; ``content_absent`` is present, and true, only where the stored message had no content key."""


class BranchOut(Branch, frozen=True):
    """A branch; it shows the messages of its ``parent`` up to ``fork_seq``, followed by its own messages."""


class SiblingOut(Sibling, frozen=True):
    """One of the alternative messages at a position: all follow the same messages, each on its own branch."""


class SiblingsOut(msgspec.Struct, frozen=True):
    """A message and its alternatives, in the order in which their branches were made."""

    results: list[SiblingOut]


class ChangesOut(msgspec.Struct, frozen=True):
    """The changes to a session's messages since a cursor, for a client that keeps a copy of them.

    Attributes:
        messages: the messages that follow those that the client holds.
        changed: messages that the client holds and whose contents changed.
        void_from: the client drops its messages from this position on; 1: all; null: none.
        cursor: for the next request.
        more: whether more changes follow this page.
        branch: the branch that was read.
        version: its version.
    """

    messages: msgspec.Raw
    changed: msgspec.Raw
    void_from: int | None
    cursor: str
    more: bool
    branch: str
    version: int


class SessionChangesOut(msgspec.Struct, frozen=True):
    """The changes to a workspace's sessions since a cursor, for a client that keeps a list of them.

    Attributes:
        changed: the sessions that are new or changed.
        gone: the ids of sessions that no longer exist; the client may never have seen some of them.
        begins_anew: whether the client must first drop everything that it holds.
        cursor: for the next request.
        more: whether more changes follow this page.
    """

    changed: list[SessionOut]
    gone: list[UUID]
    begins_anew: bool
    cursor: str
    more: bool


class RegeneratedOut(msgspec.Struct, frozen=True):
    """The branch on which another answer is to be appended.

    Attributes:
        branch: the branch for the new answer.
        former_branch: the branch with the former answer.
        last_seq: the last position that ``branch`` shows; the new answer follows it.
    """

    branch: str
    former_branch: str
    last_seq: int


class SwitchedOut(msgspec.Struct, frozen=True):
    """The current branch after the switch, and the one before it; null where nothing changed."""

    branch: str
    former_branch: str | None


class AskedAgainOut(msgspec.Struct, frozen=True):
    """A question asked again on a new branch, which replaces ``former_branch`` as the current one."""

    message: msgspec.Raw
    branch: str
    former_branch: str | None


class DraftOut(msgspec.Struct, frozen=True):
    """A message that is being streamed.

    Attributes:
        id: the id that the finished message will have.
        role: the message's role.
        name: the author's name; null where there is none.
        state: ``streaming`` while the draft grows.
        length: the number of characters written so far.
        branch: the branch that the message will be on, or that shows it.
        turn: the number of the turn that the draft belongs to; null where it was begun outside of a taken turn.
        stop_asked: whether somebody asked the writer to stop.
        begun_at: when the draft was begun.
        touched_at: when the draft was last written to.
    """

    id: str
    role: str
    name: str | None
    state: str
    length: int
    branch: str
    turn: int | None
    stop_asked: bool
    begun_at: datetime | None
    touched_at: datetime | None


class DraftTextOut(DraftOut, frozen=True):
    """A draft with its text, also after it has ended.

    Attributes:
        text: the text, without the first ``after`` characters of the query.
        seq: the position of the finished message; null while the draft grows.
    """

    text: str
    seq: int | None


class FeedbackOut(msgspec.Struct, frozen=True):
    """What one person thinks of a message: a ``vote`` of 1 (good) or -1 (bad), and a ``comment``, often ""."""

    seq: int
    message_id: str
    vote: int
    comment: str
    user_key: str
    model: str
    created_at: datetime
    updated_at: datetime


class FeedbackPage(Page[msgspec.Raw], frozen=True, kw_only=True):
    """A page of feedback, with the numbers of good and bad votes and of comments on all pages."""

    up: int
    down: int
    comments: int


class FeedbackSumsOut(msgspec.Struct, frozen=True):
    """The sums of the feedback in a workspace; ``days`` or ``models`` are present where the query asks for them."""

    up: int
    down: int
    comments: int
    days: Sequence[VotesOfDay] | msgspec.UnsetType = msgspec.UNSET
    models: Sequence[VotesOfModel] | msgspec.UnsetType = msgspec.UNSET


class AttachmentOut(msgspec.Struct, frozen=True):
    """Bytes stored for a session, and the content ``part`` that refers to them in a message."""

    sha256: str
    size: int
    media_type: str
    part: dict[str, Any]


class FeedbackIn(msgspec.Struct, frozen=True):
    """What the user thinks of a message: a ``vote`` of 1 or -1, and why."""

    vote: int
    comment: str = ""


def _shape(name: str, meaning: str, fields: Iterable[tuple[str, Any]]) -> type[msgspec.Struct]:
    """A request body in which every member is optional, except the role of a message."""
    members = [
        (field, kind) if field == "role" else (field, kind | msgspec.UnsetType, msgspec.UNSET) for field, kind in fields
    ]
    return msgspec.defstruct(name, members, namespace={"__doc__": meaning}, module=__name__, frozen=True, kw_only=True)


def _settings() -> Iterable[tuple[str, Any]]:
    """The session fields a client may set, with their types; null sets a field to its empty value, except a flag."""
    kinds = get_type_hints(SessionRecord)
    for name in SETTABLE:
        yield name, kinds[name] if kinds[name] is bool else kinds[name] | None
    yield "archived", bool


SessionIn = _shape(
    "SessionIn",
    "A session to create, or to open by its ``key``; the other members are used only for a new session.",
    [("key", str | None), ("user_key", str | None), *_settings()],
)
SessionPatch = _shape(
    "SessionPatch",
    "The fields to set; null empties a field, and ``archived`` sets ``archived_at`` to now (true) or null (false).",
    _settings(),
)
MessageIn = _shape(
    "MessageIn",
    "A message to append. What the server sets (seq, turn, created_at, tokens, state) is ignored; further members are "
    "kept as they are and given back.",
    [(name, get_type_hints(Message)[name]) for name in (*GIVEN, "content_absent")],
)


MessagePatch = _shape(
    "MessagePatch",
    "The changes to a message. Unknown members are added to those it has; null removes one.",
    [(name, get_type_hints(Message)[name]) for name in ("content", "metadata")],
)


class ForkIn(msgspec.Struct, frozen=True):
    """A branch to create; ``at`` is the last position it shares with its parent; null: all positions."""

    name: str
    at: Annotated[int, msgspec.Meta(ge=0)] | None = None


class AskAgainIn(msgspec.Struct, frozen=True):
    """A question in other words; a retry with the same ``id`` is recognised."""

    content: str | list[Any]
    id: str | None = None
    metadata: dict[str, Any] | None = None


class RegenerateIn(msgspec.Struct, frozen=True):
    """When the new answer replaces the former one: ``begun`` or ``complete``; null: the server's setting decides."""

    until: str | None = None


class SwitchIn(msgspec.Struct, frozen=True):
    """The branch to make current."""

    branch: str


SHAPES: tuple[Any, ...] = (
    RootOut,
    Page[list[WorkspaceOut]],
    Page[list[SessionOut]],
    MessagePage[list[MessageOut]],
    ContextPage[list[MessageOut]],
    Page[list[BranchOut]],
    Page[list[DraftOut]],
    DraftTextOut,
    FeedbackPage,
    Page[list[FeedbackOut]],
    FeedbackSumsOut,
    FeedbackIn,
    AttachmentOut,
    Page[list[FoundOut]],
    SessionIn,
    SessionPatch,
    MessageIn,
    MessagePatch,
    ForkIn,
    SiblingsOut,
    ChangesOut,
    SessionChangesOut,
    RegeneratedOut,
    RegenerateIn,
    SwitchedOut,
    SwitchIn,
    AskedAgainOut,
    AskAgainIn,
    *QUERIES,
    Problem,
)
"""All request and response shapes, for ``msgspec.json.schema_components``."""
