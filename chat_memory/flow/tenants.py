"""Owns managers over one Redis, one for each tenant."""

from __future__ import annotations

from typing import Any

from chat_memory.flow.managers import SessionHistoryManager
from chat_memory.flow.redis import RedisChatHistory
from chat_memory.rules.names import check_workspace
from chat_memory.storage.redis.clients import blocking

TTL = 3600


class TenantSessionManager:
    """Makes one manager for each tenant; no two tenants share a key, whatever their ids are.

    The keys are ``tenant:{tenant_id}:chat:{tenant_id}:{session_id}``; they expire an hour after the last write.

    Args:
        redis_client: a synchronous or asyncio client.
    """

    def __init__(self, redis_client: Any) -> None:
        blocking(redis_client, "redis_client")
        self.redis = redis_client

    def get_manager(self, tenant_id: str) -> SessionHistoryManager:
        """The manager of a tenant's sessions.

        Raises:
            ValidationError: ``tenant_id`` is not 1 to 100 characters of A-Z, a-z, 0-9, '.', '_', '-'.
        """
        check_workspace(tenant_id)

        def factory(session_id: str) -> RedisChatHistory:
            return RedisChatHistory(
                f"{tenant_id}:{session_id}", self.redis, key_prefix=f"tenant:{tenant_id}:chat:", ttl=TTL
            )

        return SessionHistoryManager(factory)
