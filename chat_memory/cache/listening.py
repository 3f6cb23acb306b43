"""Owns what the cache does when it receives change events (rules 4 and 5); it must not read from the database."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.dispatch import Signal

from chat_memory.cache.coherence import Coherence
from chat_memory.cache.keys import SessionKeys
from chat_memory.choices import CURRENT, MAIN_BRANCH
from chat_memory.log_limit import LogLimit
from chat_memory.storage.changed import Changed, Kind
from chat_memory.storage.contract import Adapter

relayed = Signal(use_caching=True)
"""Forwards what ``storage.changed.emitted`` sends to the caches of this process, before other receivers get it.

Another receiver may read the changed session, and the cache must know of the change by then."""

IRRELEVANT = frozenset({Kind.SUMMARIZED, Kind.RATED})
"""The kinds of change that alter no message and no version."""
KEEPING = frozenset({Kind.OPENED, Kind.APPENDED, Kind.UPDATED, Kind.FORKED, Kind.SWITCHED, Kind.RESTORED})
"""The kinds of change after which every message that an entry shows is still stored, and leads to its key."""

logger = logging.getLogger("chat_memory.removal")


def relay(source: object, events: Sequence[Changed]) -> None:
    """Send change events to every cache in this process that is in front of the changed store."""
    relayed.send_robust(sender=source, events=events)


class Listener:
    """Applies the changes of one store to the entries of its sessions."""

    def __init__(self, coherence: Coherence, keys: SessionKeys, store: Adapter) -> None:
        self._coherence = coherence
        self._keys = keys
        self._store = store
        self._log_limit = LogLimit()
        self._drops_nested = coherence.policy.mode == "bounded"

    def receive(self, *, events: Sequence[Changed], **_signal: Any) -> None:
        """Push the messages of appends; for all other changes, delete the entries of the branches by one command."""
        dropped = [event for event in events if event.kind not in IRRELEVANT and not self._push(event)]
        if dropped:
            self._drop(dropped)

    def _push(self, event: Changed) -> bool:
        """Push the messages of an append; False if the event is not an append, or its entries must be deleted."""
        if event.kind is not Kind.APPENDED:
            return False
        change = event.commit.change if event.commit else None
        ttl = self._coherence.policy.ttl_for(event.cache_ttl)
        # bounded: between the pushes of one transaction, a reader would see a state that was never committed.
        if event.commit is None or change is None or ttl == 0 or (event.nested and self._drops_nested):
            return False
        before = change.header.last_seq - change.added
        added = [message for message in event.commit.messages if (message.seq or 0) > before]
        self._coherence.push(self._key(event, event.asked), change, added, ttl)
        if event.asked != CURRENT:
            self._coherence.drop(self._key(event, CURRENT))
        return True

    def _drop(self, events: Sequence[Changed]) -> None:
        """Delete the entries of branches under their names, of the current ones, and of ``main``.

        ``main`` is included because its row holds the fields of the whole conversation.
        """
        named = {key: event.kind for event in events for key in self._keys_of(event)}
        left = [key for key in self._coherence.drop(*named) if named[key] not in KEEPING]
        if left:
            self._note(left)

    def _note(self, left: Sequence[str]) -> None:
        """Log that entries of removed messages are left, and note their keys for the next cleanup."""
        life = self._coherence.policy.longest_life
        until = None if life is None else datetime.now(UTC) + timedelta(seconds=life)
        if self._log_limit.allows("left"):
            logger.warning(
                "Redis could not be asked to drop %s cache entries of what was removed; they may stay there %s.",
                len(left),
                "until they are evicted" if until is None else f"until {until:%Y-%m-%d %H:%M:%S} UTC",
            )
        if self._store.undropped is not None:
            self._store.undropped.note(left, until)

    def _keys_of(self, event: Changed) -> set[str]:
        """The keys of the branch by its names, of the current one, and of ``main``; by the former session key too."""
        branches = {CURRENT, MAIN_BRANCH, event.branch, event.asked}
        keys = {event.key, event.former_key or event.key}
        return {self._keys.of(event.workspace, key, branch) for key in keys for branch in branches}

    def _key(self, event: Changed, branch: str) -> str:
        return self._keys.of(event.workspace, event.key, branch)
