"""Owns the adapter that puts the cache in front of another adapter; it must not know which adapter that is."""

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
"""The class that reads messages in each mode."""


class CachedAdapter(ForwardingAdapter):
    """An adapter that reads messages from Redis where the rules of ``cache.coherence`` allow it.

    As long as the object exists, it receives the changes of the store behind it. Two objects for one store in one
    process would both push every append to Redis; ``chat_memory.wiring`` therefore makes one object per database.
    """

    def __init__(self, inner: Adapter, coherence: Coherence, deployment: bytes) -> None:
        super().__init__(inner)
        self._coherence = coherence
        self._keys = SessionKeys(deployment, inner)
        self.messages = READS[coherence.policy.mode](inner, coherence, self._keys)
        self._listener = Listener(coherence, self._keys, inner)
        # The signal holds the listener weakly, and only this adapter refers to it: both are freed together.
        relayed.connect(self._listener.receive, sender=inner.source)

    def audit(self, at: Address) -> str | None:
        """What is wrong with the cached entry of a session; "" if nothing is, None if there is no entry to read.

        Raises:
            Unavailable: Redis does not answer.
        """
        key, client = self._key(at), self._coherence.client
        try:
            entry = self._coherence.held(key)
        except ValueError as error:
            return f"is damaged ({type(error).__name__})"
        except Unavailable as error:
            client.ping()  # raises if Redis is down; otherwise only this key cannot be read
            return f"cannot be read ({error})"
        if entry is None:
            return None
        milliseconds_left = client.milliseconds_left(key)
        # The number in the entry, not CACHE_TAIL: another process may have filled it with a larger CACHE_TAIL.
        newest = Span(last=max(1, len(entry.messages)))
        return fault(entry, milliseconds_left, self._inner.messages.read(at, newest), self._coherence.policy)

    def forget(self, at: Address) -> None:
        """Delete the cached entry of a session, which is always safe: the next read asks the database.

        Raises:
            Unavailable: Redis does not answer.
        """
        self._coherence.client.drop(self._key(at))

    def drop_what_is_left(self) -> None:
        """Delete the entries of removed messages that could not be deleted because Redis failed, if it answers now."""
        if self.undropped is not None:
            self.undropped.settle(lambda keys: not self._coherence.drop(*keys))

    def _key(self, at: Address) -> str:
        return self._keys.of(at.workspace, at.key, at.branch)
