"""Owns when an automatic summary of a conversation is due; it must not decide how the summary is made."""

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
    """Receive ``storage.changed.changed``: send ``summary_due`` once SUMMARIZE_AT messages have no summary."""
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
        # The messages are committed, so the caller who appended them must not get an error.
        logger.exception("could not tell whether a summary is due")
        return
    if unsummarised >= threshold:
        send(signals.summary_due, event, conversation=conversation, unsummarised=unsummarised)


def summarise_when_due(conversation: Conversation, **_of_the_signal: Any) -> None:
    """Receive ``summary_due``: if SUMMARIZER is set, summarise at once all but the newest SUMMARIZE_AT / 2 messages."""
    now = live.now()
    if now.summarizer is not None and now.summarize_at is not None:
        conversation._summarize_due(now.summarize_at)


def _conversation_of(event: Changed, source: Adapter) -> Conversation:
    """A handle on the branch that changed: in the event's database, or in ``source`` if that has no database alias."""
    at = Address(event.workspace, event.key, event.branch, cache_ttl=event.cache_ttl)
    return Conversation(at, source) if event.using is None else on_settings(at, event.using)


def _unsummarised(event: Changed, at: Address, summaries: SummaryStore) -> int:
    header = event.header
    if header is None:
        return 0
    return header.last_seq - max([header.base_seq, *(summary.last_seq for summary in summaries.all(at))])
