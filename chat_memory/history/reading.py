"""Owns the plain reads of a conversation, by number and by position; it must not choose what a model sees."""

from __future__ import annotations

import msgspec

from chat_memory.exceptions import MessageNotFound
from chat_memory.history.handle import Handle
from chat_memory.history.twins import twin
from chat_memory.records import Changes, Json, Message, SessionRecord, Sibling, Slice, Span
from chat_memory.rules.json_values import unstorable
from chat_memory.rules.names import plain
from chat_memory.rules.numbers import PAGE, check_span, message_place, page_of_changes, whole_number
from chat_memory.storage.contract import BranchStore, ChangeStore
from chat_memory.storage.listing import Filter, Usage
from chat_memory.storage.syncing import Held


class Reads(Handle):
    """The reads: an unknown conversation reads as empty, and no read creates one."""

    def tail(self, n: int, *, min_version: int = 0) -> list[Message]:
        """The newest ``n`` messages, oldest first.

        Args:
            n: how many; 0 gives none.
            min_version: in cache mode bounded, show no state before this version: give the version of a receipt to read
                your own write. In any other mode reads are always current.

        Raises:
            ValidationError: ``n`` is not a whole number from 0.
        """
        n = whole_number(n)
        return self._read(Span(last=n, min_version=min_version)) if n else []

    atail = twin(tail)

    def tail_json(self, n: int, *, min_version: int = 0) -> bytes:
        """As ``tail``, but as the JSON list that the API answers; a cache hit decodes no message."""
        n = whole_number(n)
        return self.read_json(Span(last=n, min_version=min_version)).body if n else b"[]"

    atail_json = twin(tail_json)

    def head(self, n: int, *, min_version: int = 0) -> list[Message]:
        """The oldest ``n`` messages, oldest first.

        Raises:
            ValidationError: ``n`` is not a whole number from 0.
        """
        n = whole_number(n)
        return self._read(Span(first=n, min_version=min_version)) if n else []

    ahead = twin(head)

    def messages(self, *, min_version: int = 0) -> list[Message]:
        """The whole conversation, oldest first."""
        return self._read(Span(min_version=min_version))

    amessages = twin(messages)

    def since(self, seq: int, *, min_version: int = 0) -> list[Message]:
        """The messages after position ``seq``, oldest first."""
        return self._read(Span(after=whole_number(seq, "seq"), min_version=min_version))

    asince = twin(since)

    def until(self, message_id: str) -> list[Message]:
        """The messages up to and including the one with this id, oldest first.

        Raises:
            MessageNotFound: the conversation shows no message of this id.
        """
        messages = self._stored(Span(before=self._position(message_id) + 1))
        if not messages or messages[-1].id != message_id:  # another branch became current between the two reads
            raise MessageNotFound(self.key, message_id=message_id)
        return messages

    auntil = twin(until)

    def get(self, seq: int | str) -> Message | None:
        """The message at a position or with an id; None if the conversation shows no such message.

        Raises:
            ValidationError: ``seq`` is neither a position nor text.
        """
        place = message_place(seq)
        if isinstance(place, int):
            return next(iter(self._read(Span(after=max(0, place - 1), before=place + 1))), None)
        try:
            at = self._position(place)
        except MessageNotFound:
            return None
        found = self._stored(Span(after=at - 1, before=at + 1))
        return next((message for message in found if message.id == place), None)

    aget = twin(get)

    def changes(self, cursor: str | None = None, *, size: int = PAGE) -> Changes:
        """The changes since a cursor, for a reader that keeps a copy: messages new, changed and no longer shown.

        To apply them: drop the held messages from ``void_from`` on, replace held messages by those in ``changed``, add
        ``messages``, keep the cursor, and repeat while there is ``more``. The copy then equals ``messages()``, whatever
        was appended, regenerated, switched to, cut, cleared, edited or redacted in between. If the cursor does not fit
        what is stored, as after a restore from a backup, ``void_from`` is 1. A handle that names no branch follows the
        current one.

        Args:
            cursor: ``cursor`` of the previous answer; None: the reader holds nothing.
            size: how many messages at most, and how many changed ones, 1 to 1,000.

        Raises:
            ValidationError: the cursor is not one that this returned, or ``size`` is out of range.
            NotSupported: the back end cannot tell what changed.
        """
        held = None if cursor is None else Held.parse(cursor)
        return self.place.adapter.part(ChangeStore).messages(self.place.address, held, size=page_of_changes(size))

    achanges = twin(changes)

    def siblings(self, seq: int | str) -> list[Sibling]:
        """A message, by position or id, and its alternatives, with their branches, in the order they were made.

        Alternatives follow the same messages; ``regenerate`` and ``edit_and_branch`` make them. It takes one statement,
        and another one for an id. [] if the conversation shows no such message.

        Raises:
            ValidationError: ``seq`` is neither a position nor text.
            NotSupported: the back end has no branches.
        """
        branches, place = self.place.adapter.part(BranchStore), message_place(seq)
        if isinstance(place, int):
            return branches.siblings(self.place.address, place)
        try:
            found = branches.siblings(self.place.address, self._position(place))
        except MessageNotFound:
            return []
        # Another branch may have become the current one between the two statements.
        return found if any(each.id == place for each in found) else []

    asiblings = twin(siblings)

    def read(self, span: Span) -> Slice:
        """The messages of a span, oldest first, with the state of the session they belong to: one snapshot.

        Raises:
            ValidationError: a bound is not a whole number from 0, or both ``first`` and ``last`` are given.
        """
        check_span(span)
        return self._answer(span)

    aread = twin(read)

    def read_json(self, span: Span) -> Json:
        """As ``read``, but as the JSON list that the API answers, with the number of messages in it."""
        check_span(span)
        place = self.place
        answer = place.adapter.messages.read_json(place.address, span)
        place.remember(answer.header)
        return answer

    aread_json = twin(read_json)

    def count(self) -> int:
        """How many messages the conversation has."""
        record = self.session()
        return record.message_count if record else 0

    acount = twin(count)

    def session(self) -> SessionRecord | None:
        """The session without its messages; None if nothing is stored."""
        return self.place.adapter.sessions.get(self.place.address)

    asession = twin(session)

    def usage(self) -> Usage:
        """How many messages and tokens the conversation holds, and the sum of the costs stored with its messages.

        Every stored message counts once, on whatever branch it is, including those that ``clear()`` hides.
        """
        at = self.place.address
        if (at.pinned or at.is_checked) and self.session() is None:
            return Usage()
        return self.place.adapter.sessions.usage(at.workspace, Filter(key=at.key))

    ausage = twin(usage)

    def _read(self, span: Span) -> list[Message]:
        """The messages of a span whose bounds are checked."""
        whole_number(span.min_version, "min_version")
        return self._answer(span).messages

    def _answer(self, span: Span) -> Slice:
        place = self.place
        answer = place.adapter.messages.read(place.address, span)
        place.remember(answer.header)
        return answer

    def _stored(self, span: Span) -> list[Message]:
        """The messages as the database has them now, for a write that depends on them; a bounded cache may be stale."""
        place = self.place
        header = place.adapter.messages.peek(place.address)
        place.remember(header)
        return self._read(msgspec.structs.replace(span, min_version=header.version if header else 0))

    def _position(self, message_id: object) -> int:
        """The position of the message with an id.

        Raises:
            MessageNotFound: the conversation shows no message of this id.
        """
        storable = isinstance(message_id, str) and not unstorable(message_id)
        place = self.place
        seq = place.adapter.messages.locate(place.address, plain(message_id)) if storable else None
        if seq is None:
            raise MessageNotFound(self.key, message_id=message_id)
        return seq
