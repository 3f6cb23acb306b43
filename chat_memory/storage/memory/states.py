"""Owns the states of a conversation that is kept in memory, each of them frozen; it must not lock or look any up."""

from __future__ import annotations

import secrets
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from chat_memory.choices import CURRENT, MAIN_BRANCH, Role
from chat_memory.records import Branch, Claim, Header, Message, SessionRecord, Slice, Span, Summary, as_utc
from chat_memory.storage.mapping import Row, to_messages, to_row, turns

TOKEN_BITS = 62


class Ledger:
    """The rows that a branch has for itself. All its states share it, each sees those up to its ``last_seq``."""

    def __init__(self, offset: int) -> None:
        self.offset = offset
        self._rows: list[Row] = []
        self._turns: list[int] = []
        self._system: list[int] = []
        self._positions: dict[str, int] = {}

    def put(self, messages: Sequence[Message], before: int) -> None:
        """Keep messages with dense positions after ``before`` turns; what a call taken back has left gives way."""
        first = messages[0].seq or 0
        place = first - 1 - self.offset
        rows = [to_row(message) for message in messages]
        self._rows[place:] = rows
        self._turns[place:] = [before + turn for turn in turns(messages)]
        self._system[bisect_left(self._system, first) :] = [
            seq for seq, row in enumerate(rows, first) if row.role == Role.SYSTEM.value
        ]
        self._positions.update({row.client_id: seq for seq, row in enumerate(rows, first)})

    def row(self, seq: int) -> Row:
        """What is kept at a position."""
        return self._rows[seq - 1 - self.offset]

    def turn(self, seq: int) -> int:
        """How many turns have begun up to a position."""
        return self._turns[seq - 1 - self.offset] if seq > self.offset else 0

    def system(self, low: int, high: int) -> list[int]:
        """The positions of the system messages after ``low``, up to ``high``."""
        return self._system[bisect_right(self._system, low) : bisect_right(self._system, high)]

    def place(self, message_id: str, high: int) -> int | None:
        """The position of an id, if it is up to ``high``."""
        seq = self._positions.get(message_id, 0)
        # A call taken back leaves positions behind, whose rows others take: the id in the row decides.
        return seq if self.offset < seq <= high and self.row(seq).client_id == message_id else None


class Edited(NamedTuple):
    """What a message says now, and what it said before with the moments at which that ended."""

    row: Row
    former: tuple[tuple[Row, datetime], ...]


class Held(NamedTuple):
    """A claim and since when somebody has it."""

    claim: Claim
    since: datetime


class State(msgspec.Struct, frozen=True):
    """A branch at one version."""

    name: str
    id: UUID
    parent: str | None
    fork_seq: int
    base_seq: int
    last_seq: int
    last_turn: int
    version: int
    vtoken: int
    created_at: datetime
    updated_at: datetime
    ledger: Ledger
    edits: dict[int, Edited] = {}
    summaries: tuple[Summary, ...] = ()
    held: Held | None = None

    @property
    def message_count(self) -> int:
        """How many messages a reader sees: positions have no holes."""
        return self.last_seq - self.base_seq

    def row(self, seq: int) -> Row:
        """What a message of this branch's own says now."""
        edited = self.edits.get(seq)
        return edited.row if edited else self.ledger.row(seq)

    def moved(self, now: datetime, **fields: Any) -> State:
        """The state that follows this one."""
        given = {"version": self.version + 1, "vtoken": new_token(), "updated_at": now, **fields}
        return msgspec.structs.replace(self, **given)


class Part(NamedTuple):
    """A branch of a lineage, and which of its own messages are shown: those after ``low``, up to ``high``."""

    state: State
    low: int
    high: int


class Conversation(msgspec.Struct, frozen=True):
    """A conversation at one moment: what its branches share, the branches by name, and which one speaks."""

    record: SessionRecord
    workspace_id: int
    branches: dict[str, State]
    head: str = MAIN_BRANCH

    def meant(self, branch: str) -> View | None:
        """The branch that an address means."""
        state = self.branches.get(self.head if branch == CURRENT else branch)
        return View(self, state) if state else None

    def after(self, *states: State, head: str | None = None, **fields: Any) -> Conversation:
        """The conversation after a change that led to these states of its branches."""
        changed = {"updated_at": max(state.updated_at for state in states), **fields}
        record = detached(msgspec.structs.replace(self.record, **changed))
        return msgspec.structs.replace(self.holding(*states), record=record, head=head or self.head)

    def holding(self, *states: State) -> Conversation:
        """The conversation with these states in the place of those of their names, which is no change by itself."""
        branches = {**self.branches, **{state.name: state for state in states}}
        return msgspec.structs.replace(self, branches=branches)

    def below(self, name: str) -> list[State]:
        """A branch, and all that hang on it or on such."""
        children = [state.name for state in self.branches.values() if state.parent == name]
        return [self.branches[name], *(state for child in children for state in self.below(child))]

    def branch(self, state: State) -> Branch:
        """A branch as it is shown."""
        return Branch(
            state.name,
            state.parent,
            state.fork_seq,
            state.last_seq,
            state.message_count,
            state.version,
            state.name == self.head,
            state.created_at,
            state.updated_at,
        )


class View(NamedTuple):
    """A branch of a conversation at one moment: all that is read of it."""

    conversation: Conversation
    state: State

    @property
    def header(self) -> Header:
        """The state of the branch."""
        at = self.state
        return Header(at.id, self.conversation.workspace_id, at.version, at.vtoken, at.base_seq, at.last_seq)

    @property
    def record(self) -> SessionRecord:
        """The session with the counters of this branch."""
        return detached(self.counted)

    @property
    def counted(self) -> SessionRecord:
        """The same, of which nothing may be handed out."""
        names = ("message_count", "version", "vtoken", "last_seq", "base_seq", "last_turn")
        counters = {name: getattr(self.state, name) for name in names}
        return msgspec.structs.replace(self.conversation.record, branch=self.state.name, **counters)

    def lineage(self) -> Iterator[Part]:
        """The branch and those it shares messages of, in turn; their positions adjoin."""
        state, high = self.state, self.state.last_seq
        while True:
            yield Part(state, state.fork_seq, high)
            if state.parent is None:
                return
            state, high = self.conversation.branches[state.parent], state.fork_seq

    def owner(self, seq: int) -> State:
        """The branch that holds a position; 0 is main's."""
        return next(part.state for part in self.lineage() if part.low < seq or part.state.parent is None)

    def shows(self, seq: int) -> bool:
        """Whether a reader sees the message at a position."""
        return self.state.base_seq < seq <= self.state.last_seq

    def slice(self, span: Span) -> Slice:
        """The visible messages of a span, decoded anew for each caller."""
        start = max(self.state.base_seq, span.after or 0)
        end = self.state.last_seq if span.before is None else min(self.state.last_seq, span.before - 1)
        if span.first is not None:
            end = min(end, start + span.first)
        if span.last is not None:
            start = max(start, end - span.last)
        rows = [row for part in reversed([*self.lineage()]) for row in _rows(part, start, end, system=span.system)]
        return Slice(to_messages(rows), self.header)

    def known(self, messages: Iterable[Message]) -> dict[str | None, Message]:
        """Which of the messages are stored already along the lineage, hidden ones too, by id."""
        found = {place for message in messages if (place := self._place(message.id or ""))}
        rows = [(seq, *self.owner(seq).row(seq)) for seq in found]
        return {message.id: message for message in to_messages(rows)}

    def locate(self, message_id: str) -> int | None:
        """The position of a visible message."""
        seq = self._place(message_id)
        return seq if seq and self.shows(seq) else None

    def summaries(self) -> list[Summary]:
        """Those of visible messages: the branch's own, and of what it shares."""
        own, *others = self.lineage()
        shared = [summary for part in others for summary in part.state.summaries if summary.last_seq <= part.high]
        shown = [summary for summary in (*shared, *own.state.summaries) if summary.last_seq > self.state.base_seq]
        return sorted(shown, key=lambda summary: summary.last_seq)

    def _place(self, message_id: str) -> int | None:
        places = (part.state.ledger.place(message_id, part.high) for part in self.lineage())
        return next((seq for seq in places if seq), None)


def _rows(part: Part, start: int, end: int, *, system: bool) -> list[tuple[Any, ...]]:
    """The rows of a part within a span, with their positions."""
    low, high = max(start, part.low), min(end, part.high)
    places = part.state.ledger.system(low, high) if system else range(low + 1, high + 1)
    return [(seq, *part.state.row(seq)) for seq in places]


def new_token() -> int:
    """A random version token."""
    return secrets.randbits(TOKEN_BITS)


def detached(record: SessionRecord) -> SessionRecord:
    """A copy that shares nothing its holder could change, its times as UTC."""
    copied: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(record.metadata))
    moments = {name: as_utc(getattr(record, name)) for name in ("created_at", "archived_at", "expires_at")}
    return msgspec.structs.replace(record, tags=list(record.tags), metadata=copied, **moments)
