"""Owns the reads of a branch: its header, record, messages and summaries, those of its ancestors included."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from chat_memory.choices import CURRENT
from chat_memory.fields import COUNTERS
from chat_memory.records import Feedback, Header, Message, SessionRecord, Slice, Span, Summary
from chat_memory.storage.mapping import to_messages, within
from chat_memory.storage.memory.states import BranchState, ConversationState, detached


class Segment(NamedTuple):
    """A branch in a lineage, with the range of its own messages that belong to the lineage: (``low``, ``high``]."""

    state: BranchState
    low: int
    high: int


class BranchView(NamedTuple):
    """A branch of a conversation at one moment."""

    conversation: ConversationState
    state: BranchState

    @classmethod
    def of(cls, conversation: ConversationState, branch: str = CURRENT) -> BranchView | None:
        """The branch with this name, or the current one for CURRENT; None where there is no such branch."""
        state = conversation.branches.get(conversation.current if branch == CURRENT else branch)
        return cls(conversation, state) if state else None

    def in_state(self, conversation: ConversationState) -> BranchView:
        """The same branch in a later state of the conversation."""
        return BranchView(conversation, conversation.branches[self.state.name])

    @property
    def header(self) -> Header:
        """The header of the branch."""
        state = self.state
        return Header(
            state.id, self.conversation.workspace_id, state.version, state.vtoken, state.base_seq, state.last_seq
        )

    @property
    def record(self) -> SessionRecord:
        """The session with the counters of this branch, as a copy for a caller."""
        return detached(self.shared_record)

    @property
    def shared_record(self) -> SessionRecord:
        """As ``record``, but with the store's own lists and dicts: it must not leave the store."""
        counters = {name: getattr(self.state, name) for name in COUNTERS}
        return msgspec.structs.replace(self.conversation.record, branch=self.state.name, **counters)

    def lineage(self) -> Iterator[Segment]:
        """The branch, then its ancestors up to ``main``, each with its range; the ranges are adjacent."""
        state, high = self.state, self.state.last_seq
        while True:
            yield Segment(state, state.fork_seq, high)
            if state.parent is None:
                return
            state, high = self.conversation.branches[state.parent], state.fork_seq

    def owner(self, seq: int) -> BranchState:
        """The branch whose own message is at a position; ``main`` for position 0."""
        return next(segment.state for segment in self.lineage() if segment.low < seq or segment.state.parent is None)

    def shows(self, seq: int) -> bool:
        """Whether there is a visible message at a position."""
        return self.state.base_seq < seq <= self.state.last_seq

    def position(self, place: int | str) -> int | None:
        """The position of a visible message, which is given by position or id; None where there is none."""
        if isinstance(place, str):
            return self.locate(place)
        return place if self.shows(place) else None

    def message(self, seq: int) -> Message:
        """The message at a visible position."""
        (message,) = to_messages([self.owner(seq).columns(seq)])
        return message

    def slice(self, span: Span) -> Slice:
        """The visible messages of a span, decoded for each call, so that callers share nothing."""
        start = max(self.state.base_seq, span.after or 0)
        end = self.state.last_seq if span.before is None else min(self.state.last_seq, span.before - 1)
        if span.first is not None:
            end = min(end, start + span.first)
        if span.last is not None:
            start = max(start, end - span.last)
        segments = reversed([*self.lineage()])
        rows = [row for segment in segments for row in _rows(segment, start, end, system=span.system)]
        return Slice(within(to_messages(rows), span), self.header)

    def stored(self, messages: Iterable[Message]) -> dict[str | None, Message]:
        """The stored messages, by id, whose ids are among those of ``messages``; hidden and shared ones included."""
        places = {place for message in messages if (place := self._position_of(message.id or ""))}
        rows = [self.owner(seq).columns(seq) for seq in places]
        return {message.id: message for message in to_messages(rows)}

    def locate(self, message_id: str) -> int | None:
        """The position of the visible message with this id; None where there is none."""
        seq = self._position_of(message_id)
        return seq if seq and self.shows(seq) else None

    def summaries(self) -> list[Summary]:
        """The summaries of visible messages, the branch's own and those of shared messages, oldest first."""
        own, *ancestors = self.lineage()
        shared = [summary for part in ancestors for summary in part.state.summaries if summary.last_seq <= part.high]
        visible = [summary for summary in (*shared, *own.state.summaries) if summary.last_seq > self.state.base_seq]
        return sorted(visible, key=lambda summary: summary.last_seq)

    def feedback(self) -> list[Feedback]:
        """The feedback on visible messages, the branch's own and shared ones, in no order."""
        return [
            each
            for segment in self.lineage()
            for seq, given in segment.state.feedback.items()
            if max(segment.low, self.state.base_seq) < seq <= segment.high
            for each in given
        ]

    def _position_of(self, message_id: str) -> int | None:
        places = (segment.state.ledger.position_of(message_id, segment.high) for segment in self.lineage())
        return next((seq for seq in places if seq), None)


def _rows(segment: Segment, start: int, end: int, *, system: bool) -> list[tuple[Any, ...]]:
    """The columns of a segment's rows at positions after ``start``, up to and including ``end``."""
    low, high = max(start, segment.low), min(end, segment.high)
    places = segment.state.ledger.system_positions(low, high) if system else range(low + 1, high + 1)
    return [segment.state.columns(seq) for seq in places]
