"""Owns the adapter in front of another one whose reads the cache answers; it must not know which one that is."""

from __future__ import annotations

from collections.abc import Mapping

from chat_memory.cache.client import Unavailable
from chat_memory.cache.coherence import Coherence
from chat_memory.cache.comparison import fault
from chat_memory.cache.keys import SessionKeys
from chat_memory.cache.listening import Listener, relayed
from chat_memory.cache.reading import Bounded, CachedMessages, Strict
from chat_memory.records import Address, Span
from chat_memory.storage.contract import Adapter
from chat_memory.storage.forwarding import ForwardingAdapter

READS: Mapping[str, type[CachedMessages]] = {"strict": Strict, "bounded": Bounded}
"""How each mode reads."""


class CachedAdapter(ForwardingAdapter):
    """An adapter whose reads are answered by Redis where that cannot be wrong.

    It listens to the changes of the store behind it for as long as it lives. Two of them over one store in one process
    would both bring each append to Redis: ``chat_memory.wiring`` makes one for each database.
    """

    def __init__(self, inner: Adapter, coherence: Coherence, deployment: bytes) -> None:
        super().__init__(inner)
        self._coherence = coherence
        self._keys = SessionKeys(deployment, inner)
        self.messages = READS[coherence.policy.mode](inner, coherence, self._keys)
        self._listener = Listener(coherence, self._keys, inner)
        # Weakly, and nothing else refers to the listener: it hears no more once this adapter is gone.
        relayed.connect(self._listener.hear, sender=inner.source)

    def audit(self, at: Address) -> str | None:
        """What is wrong with what Redis holds for a session, "" for nothing; None: nothing that a read would take.

        Raises:
            Unavailable: Redis does not answer.
        """
        key, client = self._key(at), self._coherence.client
        try:
            entry = self._coherence.held(key)
        except ValueError as error:
            return f"is damaged ({type(error).__name__})"
        except Unavailable as error:
            client.ping()  # else it is not this key that Redis cannot serve
            return f"cannot be read ({error})"
        if entry is None:
            return None
        life = client.life(key)
        newest = Span(last=max(1, len(entry.messages)))  # it may hold more than CACHE_TAIL is now
        return fault(entry, life, self._inner.messages.read(at, newest), self._coherence.policy)

    def forget(self, at: Address) -> None:
        """Drop what Redis holds for a session, which is always safe.

        Raises:
            Unavailable: Redis does not answer.
        """
        self._coherence.client.drop(self._key(at))

    def drop_what_is_left(self) -> None:
        """Drop the entries that Redis could not be asked to drop when what they show was removed, if it can be now."""
        if self.undropped is not None:
            self.undropped.settle(lambda keys: not self._coherence.drop(*keys))

    def _key(self, at: Address) -> str:
        return self._keys.of(at.workspace, at.key, at.branch)
