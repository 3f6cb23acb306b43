"""An adapter in memory whose reads and commits can be held at the moment that matters; proves nothing itself."""

from collections.abc import Callable

from redis import Redis

from chat_memory import conversation
from chat_memory.cache import CachedAdapter
from chat_memory.cache.client import CacheClient
from chat_memory.cache.coherence import Coherence, Policy
from chat_memory.history.conversation import Conversation
from chat_memory.records import Address, Slice, Span
from chat_memory.storage.base import EVERYTHING
from chat_memory.storage.memory import MemoryAdapter


class Held(MemoryAdapter):
    """`between` runs once, between a read and what the reader does with it; `pushes` holds what follows a commit."""

    between: Callable[[], object] | None = None
    pushes: list[Callable[[], None]] | None = None

    def read(self, at: Address, span: Span = EVERYTHING) -> Slice:
        found = super().read(at, span)
        if self.between is not None:
            call, self.between = self.between, None
            call()
        return found

    def after_commit(self, call: Callable[[], None]) -> None:
        if self.pushes is None:
            call()
        else:
            self.pushes.append(call)


class Play:
    """A conversation in memory behind the cache in a mode."""

    def __init__(self, client: Redis, mode: str) -> None:
        self.inner = Held()
        policy = Policy(mode, tail=50, ttl=None, max_age=60.0)  # type: ignore[arg-type]
        self.adapter = CachedAdapter(self.inner, Coherence(CacheClient(lambda: client), policy), b"play")

    def chat(self) -> Conversation:
        return conversation("k", adapter=self.adapter)

    def said(self) -> list[object]:
        return [message.content for message in self.chat().tail(20)]
