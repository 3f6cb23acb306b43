"""Owns when a conversation has grown enough to be summarised by itself; it must not decide how that is done."""

from __future__ import annotations

import logging
from typing import Any

from chat_memory import signals
from chat_memory.conf import live
from chat_memory.history.announcing import send
from chat_memory.history.conversation import Conversation, on_settings
from chat_memory.records import Address
from chat_memory.storage.changed import Changed, Kind
from chat_memory.storage.contract import Adapter, SummaryStore

logger = logging.getLogger("chat_memory.history")

GROWING = (Kind.APPENDED, Kind.RESTORED)


def watch(event: Changed, sender: Any, **_of_the_event: Any) -> None:
    """Receive ``storage.changed.changed``: tell where SUMMARIZE_AT messages or more are covered by no summary."""
    if event.kind not in GROWING:
        return
    threshold = live.now().summarize_at
    if threshold is None or event.header is None or event.header.visible < threshold:
        return
    try:
        conversation = _conversation_of(event, sender)
        summaries = conversation.place.adapter.summaries
        unsummarised = _unsummarised(event, conversation.place.address, summaries) if summaries else 0
    except Exception:
        # The messages are committed: the caller who appended them must not be told otherwise.
        logger.exception("could not tell whether a summary is due")
        return
    if unsummarised >= threshold:
        send(signals.summary_due, event, conversation=conversation, unsummarised=unsummarised)


def summarise_when_due(conversation: Conversation, **_of_the_signal: Any) -> None:
    """Receive ``summary_due``: where SUMMARIZER is set, summarise at once all but half of SUMMARIZE_AT."""
    now = live.now()
    if now.summarizer is not None and now.summarize_at is not None:
        conversation._summarize_due(now.summarize_at)


def _conversation_of(event: Changed, source: Adapter) -> Conversation:
    """A handle on the branch that changed, on the database it is in; a store without one is its own source."""
    at = Address(event.workspace, event.key, event.branch, cache_ttl=event.cache_ttl)
    return Conversation(at, source) if event.using is None else on_settings(at, event.using)


def _unsummarised(event: Changed, at: Address, summaries: SummaryStore) -> int:
    header = event.header
    if header is None:
        return 0
    return header.last_seq - max([header.base_seq, *(summary.last_seq for summary in summaries.all(at))])
