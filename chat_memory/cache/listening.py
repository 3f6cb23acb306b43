"""Owns what the cache does with a change that it hears of (rules 4 and 5); it must not ask the database."""

from __future__ import annotations

from typing import Any

from django.dispatch import Signal

from chat_memory.cache.coherence import Coherence
from chat_memory.cache.keys import SessionKeys
from chat_memory.choices import CURRENT, MAIN_BRANCH
from chat_memory.storage.changed import Changed, Kind

relayed = Signal(use_caching=True)
"""Sends on what ``storage.changed.changed`` sends, to the caches of this process, before anybody else hears of it.

A receiver of a change may read what it is about, and then the cache must know of it already."""

UNSEEN = frozenset({Kind.SUMMARIZED})
"""Kinds of change that leave every message and every version as it is."""


def relay(source: object, event: Changed) -> None:
    """Bring a change to every cache of this process that is in front of the store it was made in."""
    relayed.send_robust(sender=source, event=event)


class Listener:
    """Brings the changes of one store to the entries of its sessions."""

    def __init__(self, coherence: Coherence, keys: SessionKeys) -> None:
        self._coherence = coherence
        self._keys = keys
        self._drops_nested = coherence.policy.mode == "bounded"

    def hear(self, *, event: Changed, **_signal: Any) -> None:
        """Push what an append stored; after another change forget what is cached of it."""
        if event.kind is Kind.APPENDED:
            self._append(event)
        elif event.kind not in UNSEEN:
            self._drop(event)

    def _append(self, event: Changed) -> None:
        change = event.commit.change if event.commit else None
        ttl = self._coherence.policy.ttl_for(event.cache_ttl)
        # bounded: between the pushes of a caller's transaction, readers would see a state that was never committed.
        if event.commit is None or change is None or ttl == 0 or (event.nested and self._drops_nested):
            self._drop(event)
            return
        before = change.header.last_seq - change.added
        added = [message for message in event.commit.messages if (message.seq or 0) > before]
        self._coherence.push(self._key(event, event.asked), change, added, ttl)
        if event.asked != CURRENT:
            self._coherence.drop(self._key(event, CURRENT))

    def _drop(self, event: Changed) -> None:
        """Forget the branch by its names, the current one, and ``main``, whose row describes the conversation."""
        names = {CURRENT, MAIN_BRANCH, event.branch, event.asked}
        self._coherence.drop(*(self._key(event, name) for name in names))

    def _key(self, event: Changed, branch: str) -> str:
        return self._keys.of(event.workspace, event.key, branch)
