"""The command ``chat_memory_search_index``; the work is in ``maintenance.indexing``."""

from __future__ import annotations

from typing import Any

from chat_memory.maintenance import indexing
from chat_memory.management.command import FillingCommand, counted


class Command(FillingCommand):
    """Fill the search index."""

    help = (
        "Index the messages that are not in the search index, such as those stored before chat_memory.search was "
        "installed, and again those indexed with another SEARCH_CONFIG. A run may be killed; several may run at once, "
        "and while other processes write."
    )
    batch_size = indexing.BATCH_SIZE
    batch_is = "messages per transaction"

    def missing(self, workspace: str | None) -> int:
        """How many messages the index lacks."""
        return indexing.missing(workspace)

    def fill(self, workspace: str | None, **bounds: Any) -> indexing.Report:
        """Put them into it."""
        return indexing.fill_index(workspace, **bounds)

    def done(self, report: indexing.Report) -> str:
        """How many were put into it."""
        return f"{counted(report.messages, 'message')} put into the index"
