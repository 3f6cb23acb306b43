"""Owns the functions that make a manager over a store."""

from __future__ import annotations

from typing import Any

from chat_memory.flow.base import BaseChatHistory
from chat_memory.flow.database import DatabaseChatHistory
from chat_memory.flow.managers import SessionHistoryManager
from chat_memory.flow.memory import InMemoryChatHistory
from chat_memory.flow.redis import RedisChatHistory
from chat_memory.rules.names import check_workspace
from chat_memory.rules.numbers import check_cache_ttl
from chat_memory.storage.memory import MemoryAdapter
from chat_memory.storage.redis.clients import blocking


def create_inmemory_history_manager(window_size: int | None = None) -> SessionHistoryManager:
    """A manager of histories in this process.

    Raises:
        ValidationError: ``window_size`` is not a whole number from 1.
    """
    adapter = MemoryAdapter()

    def factory(session_id: str) -> BaseChatHistory:
        return InMemoryChatHistory(session_id, adapter)

    return SessionHistoryManager(factory, window_size)


def create_redis_history_manager(
    redis_client: Any, window_size: int | None = None, ttl: float | None = None
) -> SessionHistoryManager:
    """A manager of ``RedisChatHistory``; the arguments are those of the two classes.

    Raises:
        ValidationError: an argument cannot be used.
    """
    blocking(redis_client, "redis_client")

    def factory(session_id: str) -> BaseChatHistory:
        return RedisChatHistory(session_id, redis_client, ttl=ttl)

    return SessionHistoryManager(factory, window_size)


def create_database_history_manager(
    db_adapter: Any,
    redis_client: Any | None = None,
    redis_ttl: float | None = 3600,
    default_workspace_id: str | None = None,
) -> SessionHistoryManager:
    """A manager of ``DatabaseChatHistory``; its ``get_history`` takes a workspace in place of the default one.

    Raises:
        ValidationError: an argument cannot be used.
    """
    check_cache_ttl(redis_ttl, "redis_ttl")
    if default_workspace_id is not None:
        check_workspace(default_workspace_id)

    def factory(session_id: str, workspace_id: str | None = None) -> BaseChatHistory:
        workspace = default_workspace_id if workspace_id is None else workspace_id
        return DatabaseChatHistory(session_id, db_adapter, redis_client, workspace, redis_ttl=redis_ttl)

    return SessionHistoryManager(factory)
