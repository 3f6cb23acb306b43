"""Owns the Redis part for messages."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from chat_memory.choices import Role
from chat_memory.exceptions import MessageConflict, NotSupported, VersionConflict
from chat_memory.records import Address, Change, Commit, Message, Slice, Span
from chat_memory.storage.changed import Kind
from chat_memory.storage.contract import ALL_MESSAGES, Batch, MessageStore
from chat_memory.storage.redis.codec import ScriptHeader, message_values, read_message, read_messages
from chat_memory.storage.redis.store import RedisStore


class RedisMessages(MessageStore):
    """See ``MessageStore``."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store

    def append(
        self, at: Address, messages: Sequence[Message], *, title: str | None = None, if_version: int | None = None
    ) -> Commit:
        """See ``MessageStore.append``."""
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
        state = ScriptHeader._make(header)
        commit = Commit(stored, state.header, state.change(added) if added else None)
        # A replay updates the lists too, since that may have failed after the first attempt.
        new = {"first_seq": state.last_seq - added + 1, "last_seq": state.last_seq}
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
        bounds = (span.after, span.before, span.first, span.last)
        answer = self._store.run("read", at, *("" if bound is None else bound for bound in bounds))
        if not answer:
            return Slice([], None)
        state, first, texts = answer
        header = ScriptHeader._make(state).header
        messages = read_messages(texts, first, header.session_id)
        return Slice([message for message in messages if not span.system or message.role == Role.SYSTEM.value], header)

    def pop(self, at: Address) -> Commit | None:
        """See ``MessageStore.pop``; a damaged message is taken off too, and the one before it is the answer."""
        while True:
            answer = self._store.run("pop", at, *self._store.write_values())
            if answer[0] == b"absent":
                return None
            state, message = ScriptHeader._make(answer[1]), read_message(answer[2])
            seq = state.last_seq + 1
            self._store.finish(at, state, Kind.POPPED, first_seq=seq, last_seq=seq)
            if message is not None:
                return Commit((msgspec.structs.replace(message, seq=seq),), state.header, state.change())

    def clear(self, at: Address) -> Change | None:
        """See ``MessageStore.clear``."""
        answer = self._store.run("clear", at, *self._store.write_values())
        if answer[0] == b"absent":
            return None
        _kind, header, first_seq = answer
        state = ScriptHeader._make(header)
        self._store.finish(at, state, Kind.CLEARED, first_seq=first_seq, last_seq=state.last_seq)
        return state.change()
