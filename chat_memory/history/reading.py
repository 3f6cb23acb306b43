"""Owns the plain reads of a conversation, by number and by position; it must not choose what a model sees."""

from __future__ import annotations

import msgspec
from asgiref.sync import sync_to_async

from chat_memory.exceptions import MessageNotFound, VersionConflict
from chat_memory.history.bounds import check_span, whole
from chat_memory.history.handle import Handle
from chat_memory.history.validation import plain, unstorable
from chat_memory.records import Json, Message, Receipt, SessionRecord, Slice, Span
from chat_memory.storage.listing import Filter, Usage


class Reads(Handle):
    """Reading: an unknown conversation gives nothing, and no read creates any."""

    def tail(self, n: int, *, min_version: int = 0) -> list[Message]:
        """The newest ``n`` messages, oldest first (FEATURES N41).

        Args:
            n: how many; 0 gives none.
            min_version: with the cache in mode bounded, no state before this version (a receipt's, to read one's own
                writes). Without it, or in any other mode, reads are never behind.

        Raises:
            ValidationError: ``n`` is negative.
        """
        n = whole(n)
        return self._read(Span(last=n, min_version=min_version)) if n else []

    def tail_json(self, n: int, *, min_version: int = 0) -> bytes:
        """As ``tail``, as the JSON list the API answers; from a warm cache without decoding a message."""
        n = whole(n)
        return self.read_json(Span(last=n, min_version=min_version)).body if n else b"[]"

    def head(self, n: int, *, min_version: int = 0) -> list[Message]:
        """The oldest ``n`` messages, oldest first.

        Raises:
            ValidationError: ``n`` is negative.
        """
        n = whole(n)
        return self._read(Span(first=n, min_version=min_version)) if n else []

    def messages(self, *, min_version: int = 0) -> list[Message]:
        """The whole conversation, oldest first."""
        return self._read(Span(min_version=min_version))

    def since(self, seq: int, *, min_version: int = 0) -> list[Message]:
        """The messages after position ``seq``, oldest first."""
        return self._read(Span(after=whole(seq, "seq"), min_version=min_version))

    def until(self, message_id: str) -> list[Message]:
        """The messages up to and including that one, oldest first (FEATURES J28: an id is there once).

        Raises:
            MessageNotFound: the conversation shows no message of this id.
        """
        found = self._stored(Span(before=self._position(message_id) + 1))
        if not found or found[-1].id != message_id:  # another branch came to speak between the two reads
            raise self._no_such(message_id)
        return found

    def read(self, span: Span) -> Slice:
        """The messages of a span, oldest first, with the state of the session they belong to: one snapshot.

        Raises:
            ValidationError: a bound is no whole number from 0, or both ``first`` and ``last`` are given.
        """
        check_span(span)
        found = self._adapter.read(self._address, span)
        self._remember(found.header)
        return found

    def read_json(self, span: Span) -> Json:
        """As ``read``, as the JSON list the API answers, with how many messages are in it."""
        check_span(span)
        found = self._adapter.read_json(self._address, span)
        self._remember(found.header)
        return found

    def count(self) -> int:
        """How many messages the conversation has."""
        record = self.session()
        return record.message_count if record else 0

    def session(self) -> SessionRecord | None:
        """The session without its messages; None where nothing was stored yet."""
        return self._adapter.get(self._address)

    def usage(self) -> Usage:
        """How many messages and tokens the conversation holds, and the sum of the costs stored with its messages.

        Every stored message counts once, on whatever branch it is: also what ``clear()`` or another branch hides.
        """
        at = self._address
        if at.pinned and self.session() is None:
            return Usage()
        return self._adapter.usage(at.workspace, Filter(key=at.key))

    async def atail(self, n: int, *, min_version: int = 0) -> list[Message]:
        """Async twin of ``tail``."""
        return await sync_to_async(self.tail)(n, min_version=min_version)

    async def atail_json(self, n: int, *, min_version: int = 0) -> bytes:
        """Async twin of ``tail_json``."""
        return await sync_to_async(self.tail_json)(n, min_version=min_version)

    async def ahead(self, n: int, *, min_version: int = 0) -> list[Message]:
        """Async twin of ``head``."""
        return await sync_to_async(self.head)(n, min_version=min_version)

    async def amessages(self, *, min_version: int = 0) -> list[Message]:
        """Async twin of ``messages``."""
        return await sync_to_async(self.messages)(min_version=min_version)

    async def asince(self, seq: int, *, min_version: int = 0) -> list[Message]:
        """Async twin of ``since``."""
        return await sync_to_async(self.since)(seq, min_version=min_version)

    async def auntil(self, message_id: str) -> list[Message]:
        """Async twin of ``until``."""
        return await sync_to_async(self.until)(message_id)

    async def aread(self, span: Span) -> Slice:
        """Async twin of ``read``."""
        return await sync_to_async(self.read)(span)

    async def aread_json(self, span: Span) -> Json:
        """Async twin of ``read_json``."""
        return await sync_to_async(self.read_json)(span)

    async def acount(self) -> int:
        """Async twin of ``count``."""
        return await sync_to_async(self.count)()

    async def asession(self) -> SessionRecord | None:
        """Async twin of ``session``."""
        return await sync_to_async(self.session)()

    async def ausage(self) -> Usage:
        """Async twin of ``usage``."""
        return await sync_to_async(self.usage)()

    def _read(self, span: Span) -> list[Message]:
        return self.read(span).messages

    def _stored(self, span: Span) -> list[Message]:
        """What the database holds now, for who goes on from it; a cache in mode bounded may be behind."""
        header = self._adapter.peek(self._address)
        self._remember(header)
        return self._read(msgspec.structs.replace(span, min_version=header.version if header else 0))

    def _unchanged(self, if_version: int | None = None) -> Receipt:
        """The receipt of an append of nothing."""
        record = self.session()
        version = record.version if record else 0
        if if_version is not None and if_version != version:
            raise VersionConflict(if_version, version)
        return Receipt(None, None, version, False, ())

    def _position(self, message_id: object) -> int:
        """Where the message of an id is.

        Raises:
            MessageNotFound: the conversation shows no message of this id.
        """
        storable = isinstance(message_id, str) and not unstorable(message_id)
        seq = self._adapter.locate(self._address, plain(message_id)) if storable else None
        if seq is None:
            raise self._no_such(message_id)
        return seq

    def _no_such(self, message_id: object) -> MessageNotFound:
        shown = ascii(message_id[:40]) if isinstance(message_id, str) else f"of type {type(message_id).__name__}"
        return MessageNotFound(f"conversation {self.key!r} shows no message of id {shown}")
