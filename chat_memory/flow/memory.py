"""Owns the history in the memory of this process."""

from __future__ import annotations

from chat_memory.conf import live
from chat_memory.flow.base import StoredHistory
from chat_memory.history.conversation import conversation
from chat_memory.storage.memory import MemoryAdapter

SESSION_ID = "memory"


class InMemoryChatHistory(StoredHistory):
    """A history in the memory of this process, lost when it ends; for development and tests.

    Args:
        session_id: the session's id in the adapter.
        adapter: the store of the messages; None: one that only this object uses.
    """

    def __init__(self, session_id: str = SESSION_ID, adapter: MemoryAdapter | None = None) -> None:
        self.outlives_handle = adapter is not None
        adapter = MemoryAdapter() if adapter is None else adapter
        adapter.add_workspace(live.now().default_workspace)  # even if CREATE_WORKSPACES is False: it is only in memory
        super().__init__(conversation(session_id, adapter=adapter))
