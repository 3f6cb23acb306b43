"""Owns the provider that keeps conversations in the memory of this process."""

from __future__ import annotations

import logging
import time
from typing import Any

from chat_memory.conf import live
from chat_memory.providers.configs import InMemoryConfig, of_kind
from chat_memory.providers.finding import matching, stats
from chat_memory.providers.places import Place
from chat_memory.providers.provider import StoredProvider
from chat_memory.storage.memory import MemoryAdapter

logger = logging.getLogger("chat_memory.providers")


class InMemoryProvider(StoredProvider):
    """Conversations in the memory of this process, lost when it ends; for development and tests.

    Args:
        config: the limits.
    """

    name = "InMemory"

    def __init__(self, config: InMemoryConfig) -> None:
        adapter = MemoryAdapter()
        adapter.add_workspace(live.now().default_workspace)  # even if CREATE_WORKSPACES is False: it is only in memory
        super().__init__(config, Place(adapter=adapter), config.max_messages)

    def _made(self, made: bool) -> None:
        if not made:
            return
        records = list(matching(self.place, None))
        for record in records[self.config.max_conversations :]:
            self.place.chat(record.key).delete()
            logger.warning("An in-memory provider is full: the conversation that was idle longest was removed")

    def _health(self) -> dict[str, Any]:
        begin = time.perf_counter()
        held = stats(self.place, None)
        latency = round((time.perf_counter() - begin) * 1000, 3)
        metrics = {
            "active_connections": 0,
            "memory_usage": held["total_storage_size"],
            "avg_response_time": latency,
        }
        details = {"conversations_count": held["total_conversations"]}
        return {"message": "Holds conversations.", "latency_ms": latency, "metrics": metrics, "details": details}


def create_in_memory_provider(config: InMemoryConfig | None = None) -> InMemoryProvider:
    """A provider in this process.

    Raises:
        ValidationError: ``config`` is of another class.
    """
    return InMemoryProvider(of_kind(InMemoryConfig, config))
