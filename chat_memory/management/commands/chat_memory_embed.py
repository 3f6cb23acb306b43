"""The command ``chat_memory_embed``; what it does is for ``maintenance.embedding`` to say."""

from __future__ import annotations

from typing import Any

from chat_memory.history.embedding import BATCH_SIZE
from chat_memory.maintenance import embedding
from chat_memory.management.command import FillingCommand, counted


class Command(FillingCommand):
    """Embed messages ahead."""

    help = (
        "Embed the messages that have no embedding of EMBEDDER's model, so that the first question about a "
        "conversation need not. May be killed, run again, run twice at once, and run while others write."
    )
    batch_size = BATCH_SIZE
    batch_is = "texts that the embedder is given at once"

    def missing(self, workspace: str | None) -> int:
        """How many messages have no embedding."""
        return embedding.missing(workspace)

    def fill(self, workspace: str | None, **bounds: Any) -> embedding.Report:
        """Embed them."""
        return embedding.embed(workspace, **bounds)

    def done(self, report: embedding.Report) -> str:
        """How many were embedded."""
        return f"{counted(report.messages, 'message')} embedded, {counted(report.texts, 'text')} given to the embedder"
