"""Owns when a conversation has grown enough to be summarised by itself; it must not decide how that is done."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Protocol

from chat_memory.conf import live
from chat_memory.records import Address, Header
from chat_memory.storage.base import Adapter

logger = logging.getLogger("chat_memory.history")


class Summarising(Protocol):
    """What the receiver needs of a conversation."""

    def _summarize_due(self, threshold: int) -> None:
        """Summarise where so many messages are not covered."""


def watch(header: Header, adapter: Adapter, at: Address, tell: Callable[[int], None]) -> None:
    """After an append: once it is committed, tell how many messages no summary covers, if SUMMARIZE_AT or more."""
    threshold = live.now().summarize_at
    if threshold is None or header.visible < threshold or not adapter.can_summarize:
        return

    def look() -> None:
        try:
            covered = max([header.base_seq, *(summary.last_seq for summary in adapter.summaries(at))])
            if header.last_seq - covered >= threshold:
                tell(header.last_seq - covered)
        except Exception:
            # The messages are committed: whoever appended them must not be told otherwise.
            logger.exception("could not tell whether a summary is due")

    adapter.after_commit(look)


def summarise_when_due(conversation: Summarising, **_said: Any) -> None:
    """Receive ``summary_due``: where SUMMARIZER is set, summarise at once all but half of SUMMARIZE_AT."""
    now = live.now()
    if now.summarizer is not None and now.summarize_at is not None:
        conversation._summarize_due(now.summarize_at)
