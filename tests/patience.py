"""Has the cache wait long where it must not in production, for on a busy machine 50 ms pass; and end with its test."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from chat_memory import wiring
from chat_memory.cache import connecting, lua
from chat_memory.cache.listening import relayed

IN_PRODUCTION = {"TIMEOUT": connecting.TIMEOUT, "LEASE_MS": lua.LEASE_MS}
LONG = 30.0
"""Seconds that a Redis may take which is there."""
SHORT = 1.0
"""Seconds for the tests of one that never answers."""
LEASE_MS = 30_000
"""Milliseconds that whoever missed may take to fill."""


@pytest.fixture(scope="session", autouse=True)
def patient_cache() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch, waiting(LONG):
        patch.setattr(lua, "LEASE_MS", LEASE_MS)
        lua.script.cache_clear()
        yield
    lua.script.cache_clear()


@pytest.fixture(autouse=True)
def caches_end_with_their_test() -> Iterator[None]:
    """An adapter that the traceback of some error still holds would hear of what later tests change."""
    yield
    wiring._composition = type(wiring._composition)()
    with relayed.lock:
        relayed.receivers.clear()
        relayed.sender_receivers_cache.clear()


@contextmanager
def waiting(seconds: float) -> Iterator[None]:
    """Clients made within it give Redis up after so long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connecting, "TIMEOUT", seconds)
        yield


@pytest.fixture
def impatient() -> Iterator[None]:
    """For a test whose Redis never answers."""
    with waiting(SHORT):
        yield
