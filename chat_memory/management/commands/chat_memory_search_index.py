"""The command ``chat_memory_search_index``; what it does is for ``maintenance.indexing`` to say."""

from __future__ import annotations

from typing import Any

from chat_memory.maintenance import indexing
from chat_memory.management.command import FillingCommand, counted


class Command(FillingCommand):
    """Fill the search index."""

    help = (
        "Put the messages that the search index lacks into it, such as those stored before chat_memory.search was "
        "installed, and those that it has by another SEARCH_CONFIG. May be killed, run again, run twice at once, "
        "and run while others write."
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
