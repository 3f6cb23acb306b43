"""Owns the history that is only in Redis."""

from __future__ import annotations

from typing import Any

from chat_memory.conf import live
from chat_memory.flow.base import StoredHistory
from chat_memory.history.conversation import conversation
from chat_memory.storage.redis import RedisAdapter
from chat_memory.storage.redis.clients import blocking

KEY_PREFIX = "chat_history:"


class RedisChatHistory(StoredHistory):
    """A history in Redis or Valkey, under the key ``key_prefix`` + ``session_id``.

    Messages that Redis loses or evicts are lost. A write restarts the time to live, in the same step; a read does not.

    Args:
        session_id: the conversation's id.
        redis_client: a ``redis.Redis`` or a ``redis.asyncio.Redis``. Only the settings of an asyncio client are used:
            calls run in a thread, on other connections.
        key_prefix: the prefix of all keys, without braces.
        ttl: seconds after the last write until the conversation expires; None: never.

    Raises:
        ValidationError: an argument cannot be used; the error names it.
    """

    outlives_handle = True

    def __init__(
        self, session_id: str, redis_client: Any, key_prefix: str = KEY_PREFIX, ttl: float | None = None
    ) -> None:
        self.session_id = session_id
        self.redis = redis_client
        self.key_prefix = key_prefix
        self.ttl = ttl
        client = blocking(redis_client, "redis_client")
        adapter = RedisAdapter(client, key_prefix, ttl, plain=live.now().default_workspace)
        super().__init__(conversation(session_id, adapter=adapter))
