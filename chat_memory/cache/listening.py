"""Owns what the cache does when it receives a change event (rules 4 and 5); it must not ask the database."""

from __future__ import annotations

from typing import Any

from django.dispatch import Signal

from chat_memory.cache.coherence import Coherence
from chat_memory.cache.keys import SessionKeys
from chat_memory.choices import CURRENT, MAIN_BRANCH
from chat_memory.storage.changed import Changed, Kind

relayed = Signal(use_caching=True)
"""Forwards the events of ``storage.changed.changed`` to the caches of this process, before its other receivers run.

Another receiver may read the changed session, and the cache must know of the change by then."""

IRRELEVANT = frozenset({Kind.SUMMARIZED})
"""The kinds of change that alter no message and no version."""


def relay(source: object, event: Changed) -> None:
    """Send a change event to every cache in this process that is in front of the changed store."""
    relayed.send_robust(sender=source, event=event)


class Listener:
    """Applies the changes of one store to the entries of its sessions."""

    def __init__(self, coherence: Coherence, keys: SessionKeys) -> None:
        self._coherence = coherence
        self._keys = keys
        self._drops_nested = coherence.policy.mode == "bounded"

    def receive(self, *, event: Changed, **_signal: Any) -> None:
        """After an append, push the new messages; after any other change, delete the entries of the branch."""
        if event.kind is Kind.APPENDED:
            self._append(event)
        elif event.kind not in IRRELEVANT:
            self._drop(event)

    def _append(self, event: Changed) -> None:
        change = event.commit.change if event.commit else None
        ttl = self._coherence.policy.ttl_for(event.cache_ttl)
        # bounded: between the pushes of one transaction, a reader would see a state that was never committed.
        if event.commit is None or change is None or ttl == 0 or (event.nested and self._drops_nested):
            self._drop(event)
            return
        before = change.header.last_seq - change.added
        added = [message for message in event.commit.messages if (message.seq or 0) > before]
        self._coherence.push(self._key(event, event.asked), change, added, ttl)
        if event.asked != CURRENT:
            self._coherence.drop(self._key(event, CURRENT))

    def _drop(self, event: Changed) -> None:
        """Delete the entries under the branch's names, of the current branch, and of ``main``.

        ``main`` is included because its row holds the fields of the whole conversation.
        """
        names = {CURRENT, MAIN_BRANCH, event.branch, event.asked}
        self._coherence.drop(*(self._key(event, name) for name in names))

    def _key(self, event: Changed, branch: str) -> str:
        return self._keys.of(event.workspace, event.key, branch)
