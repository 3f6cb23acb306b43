"""Owns the frozen records that cross every border of the package; it must not do I/O."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from chat_memory.choices import CURRENT, MAIN_BRANCH
from chat_memory.exceptions import ValidationError

Content = str | list[Any] | None


def uuid7() -> uuid.UUID:
    """A time-ordered unique id (RFC 9562, version 7)."""
    milliseconds = time.time_ns() // 1_000_000
    noise = int.from_bytes(os.urandom(10), "big")
    value = (milliseconds & 0xFFFF_FFFF_FFFF) << 80 | noise
    return uuid.UUID(int=value & ~(0xF000 << 64) & ~(0xC000 << 48) | 0x7000 << 64 | 0x8000 << 48)


class Message(msgspec.Struct, frozen=True):
    """One message of a conversation (FEATURES S0.23-S0.28, S1.2).

    Attributes:
        role: system, user, assistant, tool or function.
        content: text, a list of content parts, or None (only for an assistant with tool calls).
        name: the speaker's or the tool's name.
        metadata: any JSON object of the application's own.
        id: text of 1..128 characters, unique per session; made on append where the caller gives none.
        tool_calls: the calls an assistant makes, as the provider gave them.
        tool_call_id: which call a tool message answers.
        seq: position in the conversation from 1, given on append.
        created_at: aware UTC; the moment of the append where the caller gives none.
        tokens: what it counts for in a token budget; TOKEN_COUNTER's answer where the caller gives none.
        content_absent: True when the source had no ``content`` key at all, kept so that exports show it as it came.
    """

    role: str
    content: Content = None
    name: str | None = None
    metadata: dict[str, Any] | None = None
    id: str | None = None
    tool_calls: list[Any] | None = None
    tool_call_id: str | None = None
    seq: int | None = None
    created_at: datetime | None = None
    tokens: int | None = None
    content_absent: bool = False

    @classmethod
    def system(cls, content: Content, **fields: Any) -> Message:
        """A system message; ``fields`` are any others of Message."""
        return cls("system", content, **fields)

    @classmethod
    def user(cls, content: Content, **fields: Any) -> Message:
        """A user's message; ``fields`` are any others of Message."""
        return cls("user", content, **fields)

    @classmethod
    def assistant(cls, content: Content = None, **fields: Any) -> Message:
        """An assistant's message; content may be None where ``tool_calls`` is given."""
        return cls("assistant", content, **fields)

    @classmethod
    def tool(cls, content: Content, *, tool_call_id: str | None = None, **fields: Any) -> Message:
        """A tool's result; ``tool_call_id`` names the call it answers."""
        return cls("tool", content, tool_call_id=tool_call_id, **fields)

    def to_dict(self) -> dict[str, Any]:
        """Every field that is set, in a fixed order, ready for JSON; ``from_dict`` is its inverse."""
        fields = (
            ("id", self.id),
            ("seq", self.seq),
            ("created_at", self.created_at and self.created_at.isoformat()),
            *self._openai_fields(),
            ("metadata", self.metadata),
            ("tokens", self.tokens),
        )
        return {name: value for name, value in fields if value is not None or self._shows(name)}

    def to_openai(self) -> dict[str, Any]:
        """The message as OpenAI's chat API takes it: no id, position, time or metadata."""
        return {name: value for name, value in self._openai_fields() if value is not None or self._shows(name)}

    def _openai_fields(self) -> tuple[tuple[str, Any], ...]:
        return (
            ("role", self.role),
            ("content", self.content),
            ("name", self.name),
            ("tool_calls", self.tool_calls),
            ("tool_call_id", self.tool_call_id),
        )

    def _shows(self, name: str) -> bool:
        return name == "content" and not self.content_absent

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Message:
        """The message that ``to_dict`` or an OpenAI client wrote; keys it does not know are ignored (FEATURES N19).

        Raises:
            ValidationError: no mapping, no role, or a value of the wrong type; the text names the key.
        """
        if not isinstance(data, Mapping):
            raise ValidationError(f"a message is an object, not {type(data).__name__}")
        given = {name: data[name] for name in _WIRE_FIELDS if name in data}
        try:
            message = msgspec.convert(given, cls)
            moment = as_utc(message.created_at)
        except OverflowError:
            raise ValidationError("is out of range as UTC", field="created_at") from None
        except (msgspec.ValidationError, RecursionError) as error:
            raise ValidationError(_reason(error), field=_path(error)) from None
        absent = "content" not in data
        if moment is None and not absent:
            return message
        return msgspec.structs.replace(message, created_at=moment, content_absent=absent)


_WIRE_FIELDS = tuple(name for name in Message.__struct_fields__ if name != "content_absent")


def _reason(error: BaseException) -> str:
    return str(error).partition(" - at `")[0] if isinstance(error, msgspec.ValidationError) else "nested too deeply"


def _path(error: BaseException) -> str:
    return str(error).partition(" - at `$.")[2].rstrip("`")


def as_utc(moment: datetime | None) -> datetime | None:
    """The same moment as aware UTC; a naive one is taken to be UTC (FEATURES J19)."""
    if moment is None:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


class Receipt(msgspec.Struct, frozen=True):
    """What one append did.

    Attributes:
        first_seq: the smallest position among ``messages``; None when the call carried none.
        last_seq: the largest one.
        version: the session's version after the call; 0 when there is no session.
        replayed: True when every message had been stored before.
        messages: the stored messages with id, seq and created_at, in the order of the call.
    """

    first_seq: int | None
    last_seq: int | None
    version: int
    replayed: bool
    messages: tuple[Message, ...]


class Address(msgspec.Struct, frozen=True):
    """Which conversation a call is about, and for whom it may be created.

    ``branch`` CURRENT follows whichever branch speaks for the conversation (``switch``), and ``session_id`` is then the
    root's; a name means that branch and no other.
    The ids are what an earlier call found; an adapter that sees nothing under them looks the names up again, but for a
    ``pinned`` address, which means that one session and no later one of the same name. ``cache_ttl``: how many seconds
    a cache in mode strict may keep it; None: until evicted, 0: it must not, unset: as CACHE_TTL says.
    """

    workspace: str
    key: str
    branch: str = CURRENT
    user_id: Any = None
    user_key: str = ""
    workspace_id: int | None = None
    session_id: uuid.UUID | None = None
    pinned: bool = False
    cache_ttl: float | msgspec.UnsetType | None = msgspec.UNSET

    @property
    def means_whole(self) -> bool:
        """Whether it is of the conversation itself, which a write may make, and not of a branch beside ``main``."""
        return self.branch in (CURRENT, MAIN_BRANCH)


class Header(msgspec.Struct, frozen=True):
    """The state of a session row: two equal headers guarantee equal histories.

    ``version`` grows by one per committed change, ``vtoken`` is random per change (a number alone does not survive
    a restore). Positions up to ``base_seq`` are hidden by ``clear()``.
    """

    session_id: uuid.UUID
    workspace_id: int
    version: int
    vtoken: int
    base_seq: int = 0
    last_seq: int = 0

    @property
    def visible(self) -> int:
        """How many messages the session shows: positions have no holes."""
        return self.last_seq - self.base_seq


class Change(msgspec.Struct, frozen=True):
    """One committed change of a session: its header, what it replaced, and how many messages it added."""

    header: Header
    prev_version: int
    prev_vtoken: int | None
    added: int = 0


class Commit(msgspec.Struct, frozen=True):
    """An adapter's answer to an append: the stored messages in call order and what changed (None: all were known)."""

    messages: tuple[Message, ...]
    header: Header
    change: Change | None


class Span(msgspec.Struct, frozen=True):
    """Which messages a read wants, oldest first: seq in (after, before), of those the ``first`` or the ``last`` n.

    ``system``: of all these only the system messages; not together with ``first`` or ``last``.
    A cache may answer with an older state (mode bounded), but none before ``min_version``.
    """

    after: int | None = None
    before: int | None = None
    first: int | None = None
    last: int | None = None
    min_version: int = 0
    system: bool = False


class Budget(msgspec.Struct, frozen=True):
    """How much of the end of a conversation a window takes; exactly one of the first three is given, from 1.

    Attributes:
        turns: so many of the newest turns; a turn is a user's message and all that follows up to the next one.
        messages: as many whole newest turns as have no more messages, system messages not counted.
        tokens: as many whole newest turns as fit, with the system messages that come along.
        system: whether the system messages before and within those turns come along; else there are none.
        min_version: no state before this version, as in Span.
    """

    turns: int | None = None
    messages: int | None = None
    tokens: int | None = None
    system: bool = True
    min_version: int = 0


class Slice(msgspec.Struct, frozen=True):
    """An adapter's answer to a read, all from one snapshot; ``header`` is None where there is no session."""

    messages: list[Message]
    header: Header | None


class Json(msgspec.Struct, frozen=True):
    """As Slice, for who sends the messages on: one JSON list as bytes, and how many messages are in it."""

    body: bytes
    count: int
    header: Header | None


class Branch(msgspec.Struct, frozen=True):
    """One branch of a conversation; it shows what its ``parent`` held up to ``fork_seq``, and its own messages then.

    Attributes:
        name: ``main`` for the one a conversation begins with.
        parent: whose messages it shares; None for ``main``.
        fork_seq: up to which position; 0 for ``main``.
        last_seq: the position of its newest message.
        message_count: how many messages a reader of it sees.
        version: of the branch, which has changes of its own.
        current: whether it speaks for the conversation.
        created_at: when it was forked.
        updated_at: when it last changed.
    """

    name: str
    parent: str | None
    fork_seq: int
    last_seq: int
    message_count: int
    version: int
    current: bool
    created_at: datetime
    updated_at: datetime


class Revision(msgspec.Struct, frozen=True):
    """What a message said until ``edited_at``, when an edit gave it other content."""

    seq: int
    content: Content
    edited_at: datetime


class Summary(msgspec.Struct, frozen=True):
    """What a summarizer said of a part of a conversation, which stays as it is.

    Attributes:
        first_seq: the position of the first message it covers, earlier summaries included.
        last_seq: of the last one.
        text: what it says.
        model: who said it, as the caller named it; "" where nobody did.
        tokens: what the text counts for in a token budget.
        created_at: when it was kept.
    """

    first_seq: int
    last_seq: int
    text: str
    model: str
    tokens: int
    created_at: datetime


class Claim(msgspec.Struct, frozen=True):
    """The right of one caller to summarise a conversation up to ``last_seq``; it lapses by itself.

    ``previous`` is the summary the new one goes on from and replaces; None for the first. ``branch`` is the one the
    claim is on, whichever speaks by the time the summary is there.
    """

    id: uuid.UUID
    first_seq: int
    last_seq: int
    previous: Summary | None
    branch: str


class SessionRecord(msgspec.Struct, frozen=True):
    """A session without its messages; of a conversation that another branch speaks for, that branch's counters."""

    id: uuid.UUID
    workspace: str
    key: str
    branch: str
    user_key: str
    title: str
    tags: list[str]
    metadata: dict[str, Any]
    message_count: int
    version: int
    last_seq: int
    base_seq: int
    last_turn: int
    pinned: bool
    created_at: datetime
    updated_at: datetime
    archived_at: datetime | None = None
    deleted_at: datetime | None = None
    expires_at: datetime | None = None
    user_id: Any = None
    vtoken: int = 0
