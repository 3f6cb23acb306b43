"""Owns the Redis part for messages."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from chat_memory.exceptions import MessageConflict, NotSupported, VersionConflict
from chat_memory.records import Address, Budget, Change, Commit, Message, Slice, Span
from chat_memory.rules.attachments import hashes
from chat_memory.storage import windowing
from chat_memory.storage.changed import Kind
from chat_memory.storage.contract import ALL_MESSAGES, AttachmentStore, Batch, MessageStore
from chat_memory.storage.mapping import within
from chat_memory.storage.redis.codec import ScriptHeader, message_values, read_lines, read_message
from chat_memory.storage.redis.store import RedisStore
from chat_memory.storage.windowing import NOTHING, Look


class RedisMessages(MessageStore):
    """See ``MessageStore``."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store

    def append(
        self, at: Address, messages: Sequence[Message], *, title: str | None = None, if_version: int | None = None
    ) -> Commit:
        """See ``MessageStore.append``.

        Raises:
            NotSupported: a message refers to an attachment, which this back end does not keep.
        """
        if hashes(message.content for message in messages):
            raise NotSupported(self._store.adapter.name, AttachmentStore.attribute, AttachmentStore.lack)
        title_json = msgspec.json.encode(title) if title else ""
        head = [*self._store.write_values(), "" if if_version is None else if_version, at.user_key.encode(), title_json]
        values = message_values(messages)
        answer = self._store.run("append", at, *head, "", "", *values)
        if answer[0] == b"absent":
            if if_version:
                raise VersionConflict(if_version, 0)
            answer = self._store.run("append", at, *head, *self._store.new_session_values(at), *values)
        if answer[0] == b"conflict":
            raise MessageConflict(answer[1].decode())
        if answer[0] == b"version":
            raise VersionConflict(if_version or 0, answer[1])
        _kind, header, places, added, made = answer
        # If a stored text is damaged, its fingerprint still shows that the repeated message is equal.
        stored = tuple(
            msgspec.structs.replace(read_message(text) or message, seq=seq)
            for message, (seq, text) in zip(messages, places, strict=True)
        )
        state = ScriptHeader.of(header)
        commit = Commit(stored, state.header, state.change(added) if added else None)
        # A replay updates the lists too, since that may have failed after the first attempt.
        new = {"first_seq": state.header.last_seq - added + 1, "last_seq": state.header.last_seq}
        self._store.finish(at, state, Kind.APPENDED if added else None, **new, commit=commit, made=bool(made))
        return commit

    def append_many(self, batches: Sequence[Batch]) -> list[Commit]:
        """See ``MessageStore.append_many``; always refused, since a script cannot span several slots of a Cluster.

        Raises:
            NotSupported: always, before anything is written.
        """
        lack = f"cannot change several conversations at once, here {len(batches)}"
        raise NotSupported(self._store.adapter.name, "", lack)

    def read(self, at: Address, span: Span = ALL_MESSAGES) -> Slice:
        """See ``MessageStore.read``; a damaged message is skipped, but counts towards ``first`` and ``last``."""
        answer = self._read(at, span, "system" if span.system else "")
        if answer is None:
            return Slice([], None)
        found = answer.system if span.system else answer.messages
        return Slice(within(found, span), answer.header)

    def window(self, at: Address, budget: Budget) -> Slice:
        """See ``MessageStore.window``; one script reads the newest messages and the system messages."""

        def look(size: int) -> Look:
            return self._read(at, Span(last=size), "both" if budget.system else "") or NOTHING

        return windowing.looked_up(look, budget)

    def _read(self, at: Address, span: Span, wanted: str) -> Look | None:
        """The result of read.lua; None where there is no session."""
        bounds = ("" if bound is None else bound for bound in (span.after, span.before, span.first, span.last))
        renewal = self._store.renewal
        answer = self._store.run("read", at, *bounds, wanted, renewal, listed=bool(renewal))
        if not answer:
            return None
        state, (since, first, last, lines, *system) = ScriptHeader.of(answer[0]), answer[1:]
        if renewal:
            self._store.renewed(at, state, since)
        header = state.header
        return Look(
            [] if span.system else read_lines(range(first, last + 1), lines, header.session_id),
            read_lines(map(int, system[0].split()), system[1], header.session_id) if system else [],
            header,
            has_all=first == header.base_seq + 1,
        )

    def pop(self, at: Address) -> Commit | None:
        """See ``MessageStore.pop``; a damaged message is removed too, and the message before it is returned."""
        while True:
            answer = self._store.run("pop", at, *self._store.write_values(), "", 0)
            if answer[0] == b"absent":
                return None
            state, message = ScriptHeader.of(answer[1]), read_message(answer[2])
            seq = state.header.last_seq + 1
            self._store.finish(at, state, Kind.POPPED, first_seq=seq, last_seq=seq)
            if message is not None:
                return Commit((msgspec.structs.replace(message, seq=seq),), state.header, state.change())

    def clear(self, at: Address) -> Change | None:
        """See ``MessageStore.clear``."""
        answer = self._store.run("clear", at, *self._store.write_values())
        if answer[0] == b"absent":
            return None
        _kind, header, first_seq = answer
        state = ScriptHeader.of(header)
        self._store.finish(at, state, Kind.CLEARED, first_seq=first_seq, last_seq=state.header.last_seq)
        return state.change()
