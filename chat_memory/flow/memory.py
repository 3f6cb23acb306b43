"""Owns the history that is kept in this process."""

from __future__ import annotations

from chat_memory.conf import live
from chat_memory.flow.base import StoredHistory
from chat_memory.history.conversation import conversation
from chat_memory.storage.memory import MemoryAdapter

SESSION_ID = "memory"


class InMemoryChatHistory(StoredHistory):
    """A history in this process, which ends with it; for development and tests.

    Args:
        session_id: tells the histories in one adapter apart.
        adapter: where the messages are; None: in this object alone.
    """

    def __init__(self, session_id: str = SESSION_ID, adapter: MemoryAdapter | None = None) -> None:
        self.outlives_handle = adapter is not None
        adapter = MemoryAdapter() if adapter is None else adapter
        adapter.add_workspace(live.now().default_workspace)  # it is nobody's tenant, whatever CREATE_WORKSPACES says
        super().__init__(conversation(session_id, adapter=adapter))
