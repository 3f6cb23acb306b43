"""Owns the stream of an answer within a turn: its flushes renew the right to answer, and it ends when that is lost."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from msgspec import structs

from chat_memory.choices import Role, State
from chat_memory.exceptions import DraftLost, MessageConflict, MessageNotFound, TurnLost, ValidationError
from chat_memory.history.drafts import abandoned, concluded, discard
from chat_memory.history.handle import Place
from chat_memory.history.streaming import Streaming
from chat_memory.history.turn_messages import TurnMessages
from chat_memory.records import Commit, Draft, Lease, Message, NewDraft, TurnRight
from chat_memory.rules import drafts
from chat_memory.storage.contract import Conclude, DraftStore


class TurnStreaming(Streaming):
    """The writer of one streamed message of a turn, made by ``Turn.stream``; see ``Streaming``.

    If somebody else has got the right to answer, or the turn was interrupted, the next flush and the end of the block
    raise TurnLost. The text flushed until then is kept as a ``failed`` message of the turn; if there is a new holder of
    the right, it has stored that text as ``abandoned`` already. If the question was popped, nothing is kept.

    If the partial message to replace is not shown any more, the stream begins without it. If the question is
    not shown any more, the begin of the stream raises TurnLost.
    """

    def __init__(
        self,
        known: TurnMessages,
        renew: Callable[[], None],
        place: Place,
        right: TurnRight,
        new: NewDraft,
        **bounds: Any,
    ) -> None:
        super().__init__(place, new, **bounds)
        self._known, self._renew, self._right = known, renew, right
        self._lost = False

    def _opened(self, store: DraftStore) -> Lease:
        try:
            return self._begun(store)
        except (MessageNotFound, ValidationError):  # the partial one was popped, redacted or completed meanwhile
            self._known.is_stale = True
            return self._begun(store)

    def _begun(self, store: DraftStore) -> Lease:
        ident, partial = self._known.next()
        place_of = None if partial is None else partial.id
        goes_on = self._new.goes_on and partial is not None
        self._new = self._new._replace(id=ident, place=place_of, goes_on=goes_on)
        lease = store.open(self._place.address, self._new, self._right)
        self._known.begun(lease.draft.id, goes_on=goes_on)
        return lease

    def _told(self, lease: Lease, piece: str) -> bool:
        try:
            self._renew()
            return super()._told(lease, piece)
        except TurnLost:
            self._lost = True
            raise
        except DraftLost:
            self._known.is_stale = True
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
                return structs.replace(message, id=self._known.next_id())  # another branch shows the partial one
            if message is None and stopped and stored is not None:
                return structs.replace(stored, state=State.STOPPED.value, seq=None, turn=None)
            return message

        try:
            commit = super()._settled(lease, settled)
        except DraftLost:
            self._known.is_stale = True
            raise
        if commit is not None:
            self._known.streamed(commit)
        return commit

    def _keep(self) -> None:
        """Store the flushed text as ``failed``, unless a new holder of the right has stored it already."""
        lease, self._ended = self._open_lease(), True

        def conclude(draft: Draft, stored: Message | None) -> Message | None:
            return concluded(draft, stored, draft.text, State.FAILED.value)

        with suppress(TurnLost, DraftLost, MessageConflict):
            self._store.settle(self._place.address, lease.draft, conclude)


def new_draft(name: str | None, metadata: dict[str, Any] | None, *, resume: bool) -> NewDraft:
    """The draft of an answer; it gets its id and its place when the stream begins."""
    return NewDraft("", Role.ASSISTANT.value, name, metadata, None, resume)


def flush_bounds(seconds: float | None, size: int | None) -> dict[str, Any]:
    """The bounds at which a stream is flushed, checked; None: those of the settings."""
    return {
        "seconds": None if seconds is None else drafts.flush_seconds(seconds),
        "size": None if size is None else drafts.flush_bytes(size),
    }


def settle_left(place: Place, right: TurnRight) -> bool:
    """Store as ``abandoned`` what the former holder of a turn was streaming; the new holder calls this.

    Returns:
        Whether there was a draft.
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
