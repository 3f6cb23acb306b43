"""Owns the stream of an answer within a turn: its flushes renew the right to answer, and it ends where that is lost."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Protocol

from msgspec import structs

from chat_memory.choices import Role, State
from chat_memory.exceptions import DraftLost, MessageConflict, MessageNotFound, TurnLost, ValidationError
from chat_memory.history.drafts import abandoned, concluded, discard
from chat_memory.history.handle import Place
from chat_memory.history.streaming import Streaming
from chat_memory.records import Commit, Draft, Lease, Message, NewDraft, Slice, TurnRight
from chat_memory.rules import drafts
from chat_memory.storage.contract import Conclude, DraftStore

_BROKEN = (State.FAILED.value, State.ABANDONED.value)


class Answering(Protocol):
    """What a stream needs of the turn that it is of."""

    def renew(self) -> None:
        """Have the right to answer for a whole lease from now."""

    def _next(self, *, goes_on: bool) -> tuple[str, Message | None]:
        """The id of the turn's next message, and the partial one in whose place it comes, if no other branch has it.

        ``goes_on``: whether it goes on from that one.
        """

    def _got(self, commit: Commit | None) -> None:
        """Note what a stream stored; None: it may be that somebody else has stored something."""


class TurnStreaming(Streaming):
    """One message of a turn that is being streamed, as ``Turn.stream`` makes it; see ``Streaming``.

    Where somebody else has got the right to answer, or the turn was interrupted, the next flush and the end raise
    TurnLost. What was flushed until then is kept as a message of the turn that ``failed``; whoever has the right has
    found it as ``abandoned`` instead. Nothing is kept of an answer whose question was taken off.

    Where it comes in the place of a part that is not shown any more, it begins without; where the question is not
    either, its begin raises TurnNotFound.
    """

    def __init__(self, turn: Answering, place: Place, right: TurnRight, new: NewDraft, **bounds: Any) -> None:
        super().__init__(place, new, **bounds)
        self._turn, self._right = turn, right
        self._lost = False

    def _opened(self, store: DraftStore) -> Lease:
        try:
            return self._begun(store)
        except (MessageNotFound, ValidationError):  # the partial one was taken off, redacted or completed meanwhile
            self._turn._got(None)
            return self._begun(store)

    def _begun(self, store: DraftStore) -> Lease:
        ident, partial = self._turn._next(goes_on=self._new.goes_on)
        place_of = None if partial is None else partial.id
        goes_on = self._new.goes_on and partial is not None
        self._new = self._new._replace(id=ident, place=place_of, goes_on=goes_on)
        return store.open(self._place.address, self._new, self._right)

    def _told(self, lease: Lease, piece: str) -> bool:
        try:
            self._turn.renew()
            return super()._told(lease, piece)
        except TurnLost:
            self._lost = True
            raise
        except DraftLost:
            self._turn._got(None)
            raise

    def _end(self, state: str, **fields: Any) -> None:
        if not self._lost:
            try:
                return super()._end(state, **fields)
            except TurnLost:
                self._keep()
                raise
        return self._keep()

    def _settled(self, lease: Lease, conclude: Conclude) -> Commit | None:
        stopped = self._stop_seen

        def settled(draft: Draft, stored: Message | None) -> Message | None:
            message = conclude(draft, stored)
            if message is not None and stored is None and lease.replaced is not None:
                ident, _partial = self._turn._next(goes_on=False)  # the partial one is another branch's too
                return structs.replace(message, id=ident)
            if message is None and stopped and stored is not None:
                return structs.replace(stored, state=State.STOPPED.value, seq=None, turn=None)
            return message

        try:
            commit = super()._settled(lease, settled)
        except DraftLost:
            self._turn._got(None)
            raise
        if commit is not None:
            self._turn._got(commit)
        return commit

    def _keep(self) -> None:
        """Keep what was flushed, unless somebody has the right: who does has found it."""
        lease, self._ended = self._open_lease(), True

        def conclude(draft: Draft, stored: Message | None) -> Message | None:
            return concluded(draft, stored, draft.text, State.FAILED.value)

        with suppress(TurnLost, DraftLost, MessageConflict):
            self._store.settle(self._place.address, lease.draft, conclude)


def new_draft(name: str | None, metadata: dict[str, Any] | None, *, resume: bool) -> NewDraft:
    """The draft of an answer, which gets its id and its place where it is begun."""
    return NewDraft("", Role.ASSISTANT.value, name, metadata, None, resume)


def flush_bounds(seconds: float | None, size: int | None) -> dict[str, Any]:
    """When a stream is flushed, checked; None: as the settings say."""
    return {
        "seconds": None if seconds is None else drafts.flush_seconds(seconds),
        "size": None if size is None else drafts.flush_bytes(size),
    }


def settle_left(place: Place, right: TurnRight) -> bool:
    """Store what the former holder of a turn was streaming, as abandoned, for who has just taken it.

    Returns:
        Whether there was anything.
    """
    store, held = place.adapter.drafts, right.held
    if store is None:
        return False
    found = store.all(held.at)
    left = [draft for draft in found if draft.turn == held.number and draft.branch == held.at.branch]
    for draft in left:
        with suppress(DraftLost):
            try:
                store.settle(held.at, draft, abandoned, right=right)
            except MessageConflict:
                discard(place, draft, right)
    return bool(left)


def without_left(found: Slice, number: int) -> Slice:
    """A window without what a broken attempt left at the end of a turn, as the next message comes in its place.

    A model that is shown the part goes on from it, and some providers refuse a list that an assistant's message ends.
    """
    said = [message for message in found.messages if message.role != Role.SYSTEM.value]
    last = said[-1] if said else None
    if last is None or last.turn != number or last.role != Role.ASSISTANT.value or last.state not in _BROKEN:
        return found
    return Slice([message for message in found.messages if message is not last], found.header)
