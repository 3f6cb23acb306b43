"""The command ``chat_memory_embed``; the work is in ``maintenance.embedding``."""

from __future__ import annotations

from typing import Any

from chat_memory.history.embedding import BATCH_SIZE
from chat_memory.maintenance import embedding
from chat_memory.management.command import FillingCommand, counted


class Command(FillingCommand):
    """Embed messages ahead of their first use."""

    help = (
        "Embed the messages that have no embedding of EMBEDDER's model, so that the first search for relevant messages "
        "need not do it. A run may be killed; several may run at once, and while other processes write."
    )
    batch_size = BATCH_SIZE
    batch_is = "texts per call of the embedder"

    def missing(self, workspace: str | None) -> int:
        """How many messages have no embedding."""
        return embedding.missing(workspace)

    def fill(self, workspace: str | None, **bounds: Any) -> embedding.Report:
        """Embed them."""
        return embedding.embed(workspace, **bounds)

    def done(self, report: embedding.Report) -> str:
        """How many were embedded."""
        return f"{counted(report.messages, 'message')} embedded, {counted(report.texts, 'text')} given to the embedder"
