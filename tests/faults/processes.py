"""Several processes in one: what one of them writes is told to its own caches, and to those of no other."""

from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

import pytest

from chat_memory import wiring
from chat_memory.storage.contract import Adapter
from chat_memory.storage.orm import adapter, emission
from chat_memory.storage.orm.emission import Source


class Processes:
    """Each has settings, an adapter, and senders for what it changes that are its own, as if it shared nothing."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now = self._last = 0
        self._numbers: WeakKeyDictionary[Adapter, int] = WeakKeyDictionary()
        self._sources: dict[tuple[int, str], Source] = {}
        patch.setattr(wiring, "_composition", type(wiring._composition)())
        for module in (adapter, emission):
            patch.setattr(module, "source_of", self._source_of)

    def begin(self) -> int:
        """The process of the settings of the moment is at work from now on: its number."""
        self.now = self._last = self._last + 1
        self.now = self._numbers.setdefault(wiring.adapter(), self.now)  # equal settings go on with their adapter
        return self.now

    @contextmanager
    def at_work(self, number: int) -> Iterator[None]:
        """Within it an earlier process is the one at work."""
        before, self.now = self.now, number
        try:
            yield
        finally:
            self.now = before

    def _source_of(self, alias: str) -> Source:
        return self._sources.setdefault((self.now, alias), Source(alias))
