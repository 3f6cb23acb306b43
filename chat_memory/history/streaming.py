"""Owns the writer of a streamed message: it flushes text to a draft, and stores the message at the end."""

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
    """The writer of one streamed message, made by ``Conversation.streaming``; it works inside one ``with`` block.

    At the end of the block the message is stored as ``complete``, or as ``stopped`` if the writer has seen that a stop
    was asked for. If an error leaves the block (also a cancellation, or a generator that is closed), the text so far is
    stored as ``failed``, and the error is raised on. If the process dies, the draft lapses and is later stored as
    ``abandoned``.

    Attributes:
        id: the id of the message; known from the beginning of the block on.
        message: the stored message; None before the end, and if nothing was stored.
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
        """Pieces flushed, characters flushed, bytes in all."""

    @property
    def text(self) -> str:
        """The whole text so far, including the text that it continues."""
        return "".join(self._pieces)

    @property
    def stopped(self) -> bool:
        """Whether somebody had asked for a stop at the newest flush; if so, leave the block."""
        self._stop_seen = self._stop_seen or self._stop_asked
        return self._stop_asked

    def write(self, chunk: str) -> None:
        """Add a chunk of text; if a flush is due, write all text since the last flush to the draft.

        Raises:
            ValidationError: the chunk is not text or cannot be stored, or the block is not open.
            TooLarge: the whole text has more than MAX_CONTENT_BYTES.
            DraftLost: somebody else has settled or removed the draft.
            TransactionOpen: the caller holds a transaction open.
        """
        if self._is_due(chunk):
            self._flush()

    async def awrite(self, chunk: str) -> None:
        """Async twin of ``write``; it makes a thread hop only if a flush is due."""
        if self._is_due(chunk):
            await sync_to_async(self._flush)()

    def flush(self) -> None:
        """Write all pending text now; even without any, this shows that the writer is alive, as while a model thinks.

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
        """Store the message, with the data that a provider sends at the end; the end of the block then does no more.

        Args:
            usage: the provider's token counts, stored as ``metadata["usage"]``.
            metadata: merged over the metadata given at the beginning.
            tool_calls: the calls that the message makes.
            extra: further fields of the provider's message.
            tokens: how many tokens the message counts for; None: they are counted.

        Returns:
            The stored message; None if a stopped message would replace a partial one without adding any text.

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
            raise ValidationError("was begun already: call streaming() again for another message", field="streaming")
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
        raise TypeError("a stream cannot be pickled: another process follows it by chat.drafts")

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
            raise ValidationError("can only be used inside of its with block, before finish()", field="streaming")
        return self._lease

    def _is_due(self, chunk: str) -> bool:
        """Add a chunk; whether a flush is due."""
        self._open_lease()
        size = chunk_size(chunk, self._bytes, self._most)
        self._bytes += size
        self._pieces.append(chunk)
        return self._pace.add(size)

    def _flush(self) -> None:
        """Write all pending pieces in one statement, and record that in the same thread.

        Otherwise, if a task is cancelled while it waits for the thread, the next flush would write them again.
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
        """Write a piece to the draft; whether a stop was asked for."""
        return self._store.write(self._place.address, lease, piece, self._flushed)

    def _settled(self, lease: Lease, conclude: Conclude) -> Commit | None:
        """End the draft; the commit of its message, if one was stored."""
        return self._store.settle(self._place.address, lease.draft, conclude, right=self._right).commit

    def _check_end(self, lease: Lease) -> None:
        """Check that the message can be stored with the metadata of the one that it continues or replaces.

        Raises:
            ValidationError: it cannot; the draft was removed.
        """
        if lease.replaced is None:
            return
        try:
            concluded(lease.draft, lease.replaced, lease.draft.text, State.COMPLETE.value)
        except ValidationError:
            self._take_back()
            raise

    def _take_back(self) -> None:
        """Remove the draft of a stream whose block was not entered."""
        lease, self._ended = self._open_lease(), True
        try:
            discard(self._place, lease.draft, self._right)
        except Exception as error:  # noqa: BLE001  # the caller gets the error that prevented the entry
            logger.info("a stream that was not begun is left to lapse (%s)", type(error).__name__)

    def _break_off(self) -> None:
        """Store what was written as ``failed``; this must not replace the error that broke the stream off."""
        try:
            self._end(State.FAILED.value)
        except Exception as error:  # noqa: BLE001  # see the docstring
            # These two lose nothing: somebody else settled or removed the draft, or the flushed text is stored.
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
    """Check the arguments of ``Conversation.streaming`` and make the stream.

    Raises:
        ValidationError: an argument is not usable; the text says which.
    """
    check_role(role)
    if resume is not None and replace is not None:
        raise ValidationError("cannot be combined with replace", field="resume")
    given = resume if resume is not None else replace
    if given is not None and message_id is not None:
        raise ValidationError("cannot be combined with resume or replace, since that message keeps its id", field="id")
    likely = stamped([Message(role, "", name=name, metadata=metadata, id=message_id)])[0]
    place_of = None if given is None else message_place(given)
    new = NewDraft(str(likely.id), likely.role, likely.name, metadata, place_of, resume is not None)
    every = None if seconds is None else flush_seconds(seconds)
    return Streaming(place, new, seconds=every, size=None if size is None else flush_bytes(size))
