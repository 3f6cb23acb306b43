"""Owns the adapter that keeps conversations in this process; it composes the parts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from chat_memory.storage.contract import Adapter
from chat_memory.storage.memory.archive import MemoryArchive
from chat_memory.storage.memory.attachments import MemoryAttachments
from chat_memory.storage.memory.branches import MemoryBranches
from chat_memory.storage.memory.drafts import MemoryDrafts
from chat_memory.storage.memory.edits import MemoryEdits
from chat_memory.storage.memory.feedback import MemoryFeedback
from chat_memory.storage.memory.messages import MemoryMessages
from chat_memory.storage.memory.sessions import MemorySessions
from chat_memory.storage.memory.store import MemoryStore
from chat_memory.storage.memory.summaries import MemorySummaries
from chat_memory.storage.memory.syncing import MemoryChanges
from chat_memory.storage.memory.turns import MemoryTurns


def _now() -> datetime:
    return datetime.now(UTC)


class MemoryAdapter(Adapter):
    """Conversations in this process: for tests, experiments, and data that need not outlive the process.

    Pass the same instance to every ``conversation(..., adapter=...)`` that shares the data. A conversation stays until
    ``delete``; nothing is evicted, and nothing needs to be closed. The adapter returns copies. Threads may share an
    instance, processes cannot.

    Args:
        clock: returns the present time in UTC; a test may pass its own.
    """

    branches: MemoryBranches
    edits: MemoryEdits
    summaries: MemorySummaries
    archive: MemoryArchive
    changes: MemoryChanges
    feedback: MemoryFeedback
    attachments: MemoryAttachments
    drafts: MemoryDrafts
    turns: MemoryTurns

    def __init__(self, clock: Callable[[], datetime] = _now) -> None:
        self._store = store = MemoryStore(self, clock)
        self.messages = MemoryMessages(store)
        self.sessions = MemorySessions(store)
        self.branches = MemoryBranches(store)
        self.edits = MemoryEdits(store)
        self.summaries = MemorySummaries(store)
        self.archive = MemoryArchive(store)
        self.changes = MemoryChanges(store)
        self.feedback = MemoryFeedback(store)
        self.attachments = MemoryAttachments(store)
        self.drafts = MemoryDrafts(store)
        self.turns = MemoryTurns(store)

    def add_workspace(self, slug: str) -> None:
        """Create a workspace; needed only where CREATE_WORKSPACES is False."""
        self._store.add_workspace(slug)
