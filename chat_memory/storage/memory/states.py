"""Owns the immutable states of conversations and branches in memory; every change creates a new state."""

from __future__ import annotations

import secrets
from datetime import datetime
from operator import attrgetter
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from chat_memory.choices import MAIN_BRANCH, TurnState
from chat_memory.fields import MOMENTS
from chat_memory.records import Branch, Claim, Draft, Feedback, SessionRecord, Summary, as_utc
from chat_memory.storage.mapping import Row
from chat_memory.storage.memory.ledger import Ledger
from chat_memory.storage.syncing import Noted

_TOKEN_BITS = 62


class EditedRow(NamedTuple):
    """A row after its edits; ``former`` holds each earlier row with the time at which it was replaced."""

    row: Row
    former: tuple[tuple[Row, datetime], ...]


class HeldClaim(NamedTuple):
    """A caller's claim to make a summary, and the time since which it is held."""

    claim: Claim
    since: datetime


class HeldDraft(NamedTuple):
    """A draft with its whole text; ``place``: the branch and the position of the message that it replaces."""

    draft: Draft
    place: tuple[str, int] | None


class Right(NamedTuple):
    """The right to answer the question at a position, and until when, by the store's clock."""

    seq: int
    holder: str
    until: datetime
    state: TurnState


class BranchState(msgspec.Struct, frozen=True):
    """A branch at one version; the fields are those of its row, ``ledger`` holds its own messages."""

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
    number: int = 0
    edits: dict[int, EditedRow] = {}
    summaries: tuple[Summary, ...] = ()
    held: HeldClaim | None = None
    feedback: dict[int, tuple[Feedback, ...]] = {}
    feedback_number: int = 0
    pending: str = ""
    rights: dict[int, Right] = {}

    @property
    def message_count(self) -> int:
        """The number of visible messages; positions have no gaps."""
        return max(0, self.last_seq - self.base_seq)

    def row(self, seq: int) -> Row:
        """The row of one of the branch's own messages, with its edits."""
        edited = self.edits.get(seq)
        return edited.row if edited else self.ledger.row(seq)

    def columns(self, seq: int) -> tuple[Any, ...]:
        """The columns of one of the branch's own messages, with its edits, as ``mapping.to_messages`` reads them."""
        return (seq, *self.row(seq), self.ledger.turn(seq))

    def own_rows(self) -> list[tuple[Any, ...]]:
        """The columns of all rows that the branch does not share with its parent, hidden ones included."""
        return [self.columns(seq) for seq in range(self.ledger.offset + 1, self.last_seq + 1)]

    def with_feedback(self, new: Feedback) -> BranchState:
        """The state with feedback on one of the branch's own messages; it replaces feedback with the same number."""
        others = (each for each in self.feedback.get(new.seq, ()) if each.number != new.number)
        feedback = {**self.feedback, new.seq: (*others, new)}
        return msgspec.structs.replace(self, feedback=feedback, feedback_number=max(self.feedback_number, new.number))

    def next_version(self, now: datetime, **fields: Any) -> BranchState:
        """The next state, with a new version and token, and with changed fields."""
        changed = {"version": self.version + 1, "vtoken": new_token(), "updated_at": now, **fields}
        return msgspec.structs.replace(self, **changed)


class ConversationState(msgspec.Struct, frozen=True):
    """A conversation at one moment: the fields that its branches share, its branches, and which one is current."""

    record: SessionRecord
    workspace_id: int
    branches: dict[str, BranchState]
    current: str = MAIN_BRANCH
    last_number: int = 0
    drafts: tuple[HeldDraft, ...] = ()
    notes: tuple[Noted, ...] = ()

    def noting(self, *places: tuple[UUID, int], taken: str = "") -> ConversationState:
        """The conversation with recorded changes of messages, given by branch id and position."""
        first = len(self.notes) + 1
        notes = (Noted(number, new_token(), *place, taken) for number, place in enumerate(places, first))
        return msgspec.structs.replace(self, notes=(*self.notes, *notes))

    def after(self, *states: BranchState, current: str | None = None, **fields: Any) -> ConversationState:
        """The conversation after a change: with new states of some branches, changed fields and a new updated_at."""
        changed = {"updated_at": max(state.updated_at for state in states), **fields}
        record = detached(msgspec.structs.replace(self.record, **changed))
        return msgspec.structs.replace(self.with_branches(*states), record=record, current=current or self.current)

    def with_branches(self, *states: BranchState) -> ConversationState:
        """The conversation with new states of some branches; its record and ``updated_at`` stay."""
        branches = {**self.branches, **{state.name: state for state in states}}
        return msgspec.structs.replace(self, branches=branches)

    def without_drafts(self, *places: tuple[str, int]) -> ConversationState:
        """The conversation without the drafts that would have replaced these messages."""
        kept = tuple(each for each in self.drafts if each.place is None or each.place not in places)
        return self if len(kept) == len(self.drafts) else msgspec.structs.replace(self, drafts=kept)

    def without_drafts_of(self, name: str, turn: int | None) -> ConversationState:
        """The conversation without the drafts of a turn of a branch."""
        kept = tuple(each for each in self.drafts if (each.draft.branch, each.draft.turn) != (name, turn))
        return self if len(kept) == len(self.drafts) else msgspec.structs.replace(self, drafts=kept)

    def with_new(self, branch: BranchState) -> ConversationState:
        """The conversation with a new branch, which gets the next number; ``updated_at`` stays."""
        number = self.last_number + 1
        numbered = self.with_branches(msgspec.structs.replace(branch, number=number))
        return msgspec.structs.replace(numbered, last_number=number)

    def sharing(self, name: str, seq: int) -> list[BranchState]:
        """The branch that owns a position, and all its descendants that share the position."""
        names = [name]
        for parent in names:  # the loop appends to the list that it iterates over
            children = (state for state in self.branches.values() if state.parent == parent)
            names += [state.name for state in children if state.fork_seq >= seq]
        return [self.branches[each] for each in names]

    def in_order(self) -> list[Branch]:
        """The records of all branches, by their numbers: ``main`` first, the others in the order they were made."""
        return [self.branch(state.name) for state in sorted(self.branches.values(), key=attrgetter("number"))]

    def branch(self, name: str) -> Branch:
        """The record of a branch."""
        state = self.branches[name]
        return Branch(
            state.name,
            state.parent,
            state.fork_seq,
            state.last_seq,
            state.message_count,
            state.version,
            state.name == self.current,
            state.created_at,
            state.updated_at,
            state.number,
            bool(state.pending),
        )


def new_token() -> int:
    """A random version token."""
    return secrets.randbits(_TOKEN_BITS)


def detached(record: SessionRecord) -> SessionRecord:
    """A copy with its own tags and metadata, which the caller may change, and with its times in UTC."""
    metadata: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(record.metadata))
    moments = {name: as_utc(getattr(record, name)) for name in MOMENTS}
    return msgspec.structs.replace(record, tags=list(record.tags), metadata=metadata, **moments)
