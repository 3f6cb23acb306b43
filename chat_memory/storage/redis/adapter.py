"""Owns the adapter whose only store is Redis; it composes the parts."""

from __future__ import annotations

from typing import Any

from chat_memory.exceptions import ValidationError
from chat_memory.storage.contract import Adapter
from chat_memory.storage.redis.commands import Commands
from chat_memory.storage.redis.cuts import RedisCuts
from chat_memory.storage.redis.keys import PREFIX, Keys, PlainKeys
from chat_memory.storage.redis.messages import RedisMessages
from chat_memory.storage.redis.sessions import RedisSessions
from chat_memory.storage.redis.store import RedisStore

LONGEST_TTL = 2**52
"""Milliseconds."""


class RedisAdapter(Adapter):
    """Conversations in Redis 7, Valkey or a Cluster of either, each in one hash under its own key.

    Every call on a conversation is one script, so it takes effect completely or not at all. In a Cluster the lists of
    sessions are in other slots and are updated by a second call; if that fails, a retry or a later ``find`` corrects
    them. What Redis evicts or loses is lost, always as whole conversations. Of the owner, only ``user_key`` is stored,
    and whether it is that of a user object. A session never gives up its key, even if a client chose the key.

    A damaged message is skipped with a warning that names its position, and is not counted.

    Args:
        client: a ``redis.Redis`` or ``redis.cluster.RedisCluster``, not an asyncio client; the caller configures its
            pool and timeouts.
        prefix: the beginning of every key; without braces, since those choose the slot in a Cluster.
        ttl: seconds after the last write until a conversation expires, rounded to milliseconds; None: never.
        plain: the slug of a workspace whose conversations get keys of only the prefix and the session key; None: the
            slug is part of every key.
        renew_on_read: whether reading a conversation's messages restarts its ``ttl``, as a write does.

    Raises:
        ValidationError: the client, prefix or ttl is invalid.
    """

    def __init__(
        self,
        client: Any,
        prefix: str = PREFIX,
        ttl: float | None = None,
        *,
        plain: str | None = None,
        renew_on_read: bool = False,
    ) -> None:
        keys = Keys(prefix) if plain is None else PlainKeys(prefix, plain)
        self._store = store = RedisStore(self, Commands(client), keys, _milliseconds(ttl), renews=renew_on_read)
        self.messages = RedisMessages(store)
        self.cuts = RedisCuts(store)
        self.sessions = RedisSessions(store, self.messages)

    def add_workspace(self, slug: str) -> None:
        """Create a workspace; needed only where CREATE_WORKSPACES is False."""
        self._store.add_workspace(slug)


def _milliseconds(ttl: object) -> int | None:
    """A time to live in whole milliseconds.

    Raises:
        ValidationError: the value is not a number of seconds, is under a millisecond, or is too long for Redis.
    """
    if ttl is None:
        return None
    if isinstance(ttl, bool) or not isinstance(ttl, int | float) or not 0.001 <= ttl <= LONGEST_TTL / 1000:
        raise ValidationError("must be a number of seconds from 0.001, or None for no expiry", field="ttl")
    return round(ttl * 1000)
