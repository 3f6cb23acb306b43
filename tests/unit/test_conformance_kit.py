"""The conformance kit itself: what its clauses share, they share in every thread."""

import sys
from collections.abc import Iterator

import pytest

from chat_memory.storage.base import Adapter
from chat_memory.storage.memory import MemoryAdapter
from chat_memory.testing.conformance import Kit
from chat_memory.testing.conformance.kit import at_once

pytestmark = pytest.mark.once

WRITERS = 8
ROUNDS = 30


class MemoryKit(Kit):
    """A kit that remembers the adapters it made."""

    made: list[Adapter]

    def make_adapter(self) -> Adapter:
        adapter = MemoryAdapter()
        self.made.append(adapter)
        return adapter


@pytest.fixture
def _hasty_threads() -> Iterator[None]:
    """Threads that interrupt each other at every step, as they rarely do by themselves."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("_hasty_threads")
def test_writers_who_are_the_first_to_ask_share_adapter_and_workspace() -> None:
    """From Python 3.12 on nothing locks a ``cached_property``, so each thread would have made its own."""
    for _round in range(ROUNDS):
        kit = MemoryKit()
        kit.made = []
        seen = at_once(*[lambda kit=kit: (kit.workspace, kit.adapter)] * WRITERS)
        assert len({workspace for workspace, _adapter in seen}) == 1
        assert [adapter for _workspace, adapter in seen] == kit.made * WRITERS


def test_each_clause_has_a_workspace_of_its_own() -> None:
    assert Kit().workspace != Kit().workspace
