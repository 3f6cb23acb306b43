"""Owns the writing of a message that is being streamed: bounded flushes on the way, and the message at the end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from asgiref.sync import sync_to_async

from chat_memory.choices import State
from chat_memory.conf import live
from chat_memory.exceptions import DraftLost, MessageConflict, TurnLost, ValidationError
from chat_memory.history.drafts import concluded, discard, settle_lapsed
from chat_memory.history.handle import Place
from chat_memory.history.stamping import stamped
from chat_memory.history.twins import to_the_end
from chat_memory.records import Commit, Draft, Lease, Message, NewDraft, TurnRight
from chat_memory.rules.drafts import Pace, check_role, chunk_size, flush_bytes, flush_seconds, said_at_end
from chat_memory.rules.numbers import message_place
from chat_memory.storage.contract import Conclude, DraftStore

logger = logging.getLogger("chat_memory.history")


class Streaming:
    """One message that is being streamed, as ``Conversation.streaming`` makes it; its ``with`` block is its life.

    At the end of the block the message is complete, or ``stopped`` where the writer has seen that a stop was asked. An
    error that leaves the block, a cancellation and the end of a generator included, makes it ``failed``, with what was
    written; the error goes on. Where the process ends, the draft lapses, and is then stored as ``abandoned``.

    Attributes:
        id: the id of the message; known from the beginning of the block on.
        message: the message as it is stored; None before the end, and where nothing was stored.
    """

    def __init__(
        self,
        place: Place,
        new: NewDraft,
        *,
        seconds: float | None = None,
        size: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.id = new.id
        self.message: Message | None = None
        self._place, self._new, self._clock = place, new, clock
        self._right: TurnRight | None = None
        self._seconds, self._size = seconds, size
        self._lease: Lease | None = None
        self._ended = self._stop_asked = self._stop_seen = False
        self._pieces: list[str] = []
        self._written = self._flushed = self._bytes = 0
        """Pieces that were flushed, characters that were flushed, bytes in all."""

    @property
    def text(self) -> str:
        """All that was written so far, what it goes on from included."""
        return "".join(self._pieces)

    @property
    def stopped(self) -> bool:
        """Whether somebody asked for a stop, as far as the newest flush was told; who sees it leaves the block."""
        self._stop_seen = self._stop_seen or self._stop_asked
        return self._stop_asked

    def write(self, chunk: str) -> None:
        """Add a chunk of text; where a flush is due, all that was added since the last one is written.

        Raises:
            ValidationError: it is no text, or cannot be stored; or the block is not open.
            TooLarge: the whole has more than MAX_CONTENT_BYTES.
            DraftLost: somebody else has settled or removed the draft.
            TransactionOpen: the caller holds a transaction open.
        """
        if self._is_due(chunk):
            self._flush()

    async def awrite(self, chunk: str) -> None:
        """Async twin of ``write``: a hop into a thread where a flush is due, and none otherwise."""
        if self._is_due(chunk):
            await sync_to_async(self._flush)()

    def flush(self) -> None:
        """Write now what there is, and say in any case that the writer is alive, as while a model thinks for long.

        Raises:
            ValidationError: the block is not open.
            DraftLost: somebody else has settled or removed the draft.
            TransactionOpen: the caller holds a transaction open.
        """
        self._open_lease()
        self._flush()

    async def aflush(self) -> None:
        """Async twin of ``flush``."""
        await sync_to_async(self.flush)()

    def finish(
        self,
        *,
        usage: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
        tool_calls: list[Any] | None = None,
        extra: dict[str, Any] | None = None,
        tokens: int | None = None,
    ) -> Message | None:
        """Store the message, with what a provider says at the end; the end of the block then does nothing more.

        Args:
            usage: what the provider counted, kept as ``metadata["usage"]``.
            metadata: set beside the metadata of the beginning.
            tool_calls: the calls that the message makes.
            extra: what else the provider's message holds.
            tokens: how many tokens the message counts for; None: they are counted.

        Returns:
            The message; None where a stopped one would come in the place of a partial one, and says nothing new.

        Raises:
            ValidationError: such a message cannot be stored; or the block is not open.
            MessageConflict: a message of this id was stored meanwhile.
            DraftLost: somebody else has settled or removed the draft.
        """
        self._open_lease()
        given = said_at_end(usage, metadata, extra)
        state = State.STOPPED if self._stop_seen else State.COMPLETE
        self._end(state.value, metadata=given, tool_calls=tool_calls, extra=extra, tokens=tokens)
        return self.message

    async def afinish(
        self,
        *,
        usage: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
        tool_calls: list[Any] | None = None,
        extra: dict[str, Any] | None = None,
        tokens: int | None = None,
    ) -> Message | None:
        """Async twin of ``finish``."""
        return await sync_to_async(self.finish)(
            usage=usage, metadata=metadata, tool_calls=tool_calls, extra=extra, tokens=tokens
        )

    def __enter__(self) -> Self:
        if self._lease is not None:
            raise ValidationError("is one message, and was begun already: call streaming() anew", field="streaming")
        store, at = self._store, self._place.address
        for draft in store.all(at):
            if draft.lapsed:
                settle_lapsed(self._place, draft)
        self._lease = lease = self._opened(store)
        self._check_end(lease)
        self.id, text = lease.draft.id, lease.draft.text
        self._pieces, self._written, self._flushed, self._bytes = [text], 1, len(text), len(text.encode())
        settings = live.now()
        seconds = settings.draft_flush_seconds if self._seconds is None else self._seconds
        size = settings.draft_flush_bytes if self._size is None else self._size
        self._most, self._pace = settings.max_content_bytes, Pace(seconds, size, self._clock)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ended:
            return
        if kind is None:
            self.finish()
        else:
            self._break_off()

    async def __aenter__(self) -> Self:
        try:
            return await to_the_end(self.__enter__)
        except asyncio.CancelledError:
            if self._lease is not None:
                await to_the_end(self._take_back)
            raise

    def __reduce__(self) -> Any:
        raise TypeError("a stream is of one process: others follow it by chat.drafts")

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._ended:
            await to_the_end(lambda: self.__exit__(kind, error, trace))

    @property
    def _store(self) -> DraftStore:
        return self._place.adapter.part(DraftStore)

    def _open_lease(self) -> Lease:
        """The right to write.

        Raises:
            ValidationError: the block is not open.
        """
        if self._lease is None or self._ended:
            raise ValidationError("is open inside of its with block, until finish()", field="streaming")
        return self._lease

    def _is_due(self, chunk: str) -> bool:
        """Keep a chunk; whether it is time to flush."""
        self._open_lease()
        size = chunk_size(chunk, self._bytes, self._most)
        self._bytes += size
        self._pieces.append(chunk)
        return self._pace.add(size)

    def _flush(self) -> None:
        """One write of all that waits. What is noted of it is noted in the thread that wrote it.

        So a task that is cancelled while it waits for the thread does not make the next flush write it again.
        """
        lease = self._open_lease()
        until = len(self._pieces)
        piece = "".join(self._pieces[self._written : until])
        self._stop_asked = self._told(lease, piece)
        self._written, self._flushed = until, self._flushed + len(piece)
        self._pace.flushed()

    def _end(self, state: str, **fields: Any) -> None:
        """Store the message in a state."""
        lease, text = self._open_lease(), self.text

        def conclude(draft: Draft, stored: Message | None) -> Message | None:
            return concluded(draft, stored, text, state, **fields)

        try:
            commit = self._settled(lease, conclude)
        except MessageConflict:
            discard(self._place, lease.draft, self._right)
            self._ended = True
            raise
        self._ended = True
        if commit is not None:
            self.message = self._place.receipt(commit).messages[0]

    def _opened(self, store: DraftStore) -> Lease:
        """Begin the draft."""
        return store.open(self._place.address, self._new)

    def _told(self, lease: Lease, piece: str) -> bool:
        """Write a piece to the draft; whether a stop is asked."""
        return self._store.write(self._place.address, lease, piece, self._flushed)

    def _settled(self, lease: Lease, conclude: Conclude) -> Commit | None:
        """End the draft; what was stored of it."""
        return self._store.settle(self._place.address, lease.draft, conclude, right=self._right).commit

    def _check_end(self, lease: Lease) -> None:
        """Check that the message may end, with the metadata of the one that it goes on from or replaces.

        Raises:
            ValidationError: it may not; the draft is then gone.
        """
        if lease.replaced is None:
            return
        try:
            concluded(lease.draft, lease.replaced, lease.draft.text, State.COMPLETE.value)
        except ValidationError:
            self._take_back()
            raise

    def _take_back(self) -> None:
        """Leave nothing of a stream whose block was not entered."""
        lease, self._ended = self._open_lease(), True
        try:
            discard(self._place, lease.draft, self._right)
        except Exception as error:  # noqa: BLE001  # the caller is told what kept it out
            logger.info("a stream that was not begun is left to lapse (%s)", type(error).__name__)

    def _break_off(self) -> None:
        """Keep what was written, whatever it was that broke the stream off; that error goes on in any case."""
        try:
            self._end(State.FAILED.value)
        except Exception as error:  # noqa: BLE001  # the error that broke it off must not be replaced by another
            # A draft that somebody else has settled is stored, or was to go; of a lost turn, what was flushed is.
            level = logging.INFO if isinstance(error, DraftLost | TurnLost) else logging.WARNING
            logger.log(level, "a stream that was broken off could not be stored (%s)", type(error).__name__)


def streaming(
    place: Place,
    role: str,
    *,
    message_id: str | None,
    name: str | None,
    metadata: dict[str, Any] | None,
    resume: int | str | None,
    replace: int | str | None,
    seconds: float | None,
    size: int | None,
) -> Streaming:
    """A stream to a conversation, of input that was checked; see ``Conversation.streaming``.

    Raises:
        ValidationError: see there.
    """
    check_role(role)
    if resume is not None and replace is not None:
        raise ValidationError("cannot be combined with replace", field="resume")
    given = resume if resume is not None else replace
    if given is not None and message_id is not None:
        raise ValidationError("stays that of the message that is gone on from or replaced", field="id")
    likely = stamped([Message(role, "", name=name, metadata=metadata, id=message_id)])[0]
    place_of = None if given is None else message_place(given)
    new = NewDraft(str(likely.id), likely.role, likely.name, metadata, place_of, resume is not None)
    every = None if seconds is None else flush_seconds(seconds)
    return Streaming(place, new, seconds=every, size=None if size is None else flush_bytes(size))
