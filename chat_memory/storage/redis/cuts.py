"""Owns the Redis part that cuts messages off the end of a conversation."""

from __future__ import annotations

from chat_memory.records import Address
from chat_memory.storage.changed import Kind
from chat_memory.storage.contract import CutStore
from chat_memory.storage.redis.codec import ScriptHeader
from chat_memory.storage.redis.store import RedisStore


class RedisCuts(CutStore):
    """See ``CutStore``."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store

    def cut(self, at: Address, message_id: str, *, keep: bool) -> int | None:
        """See ``CutStore.cut``."""
        answer = self._store.run("pop", at, *self._store.write_values(), message_id.encode(), int(keep))
        if answer[0] == b"absent":
            return None
        state, gone = ScriptHeader.of(answer[1]), int(answer[3])
        if gone:
            last = state.header.last_seq
            positions = {"first_seq": last + 1, "last_seq": last + gone}
            self._store.finish(at, state, Kind.POPPED, **positions)
        return gone
