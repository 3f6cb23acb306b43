"""An adapter in memory whose reads and commits can be held at the moment that matters; proves nothing itself."""

from collections.abc import Callable
from functools import partial
from typing import Any

from redis import Redis

from chat_memory import conversation
from chat_memory.cache import CachedAdapter
from chat_memory.cache.client import CacheClient
from chat_memory.cache.coherence import Coherence
from chat_memory.cache.policy import CachePolicy
from chat_memory.history.conversation import Conversation
from chat_memory.records import Address, Slice, Span
from chat_memory.storage.changed import Changed, changed, emit
from chat_memory.storage.contract import ALL_MESSAGES
from chat_memory.storage.forwarding import ForwardingAdapter, ForwardingMessages
from chat_memory.storage.memory import MemoryAdapter


class HeldMessages(ForwardingMessages):
    """`between` runs once, between a read and what the reader does with it."""

    between: Callable[[], object] | None = None

    def read(self, at: Address, span: Span = ALL_MESSAGES) -> Slice:
        found = super().read(at, span)
        if self.between is not None:
            call, self.between = self.between, None
            call()
        return found


class HeldAdapter(ForwardingAdapter):
    """A store whose changes are told later: `pushes` holds what follows a commit, if it is a list."""

    def __init__(self) -> None:
        super().__init__(MemoryAdapter())
        self.messages = self.held = HeldMessages(self._inner.messages)
        self.pushes: list[Callable[[], None]] | None = None
        changed.connect(self._tell, sender=self._inner.source)

    @property
    def source(self) -> object:
        return self

    def _tell(self, *, event: Changed, **_signal: Any) -> None:
        if self.pushes is None:
            emit(self, event)
        else:
            self.pushes.append(partial(emit, self, event))


class CachedMemory:
    """A conversation in memory behind the cache in a mode."""

    def __init__(self, client: Redis, mode: str) -> None:
        self.inner = HeldAdapter()
        policy = CachePolicy(mode, tail=50, ttl=None, max_age=60.0)  # type: ignore[arg-type]
        self.adapter = CachedAdapter(self.inner, Coherence(CacheClient(lambda: client), policy), b"play")

    def chat(self) -> Conversation:
        return conversation("k", adapter=self.adapter)

    def newest_texts(self) -> list[object]:
        return [message.content for message in self.chat().tail(20)]

    def between(self, call: Callable[[], object]) -> None:
        """Have it happen once, between the next read and what the reader does with it."""
        self.inner.held.between = call
