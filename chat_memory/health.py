"""Owns the report whether database and cache answer; it must neither raise nor wait for what has hung."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from statistics import fmean
from typing import Any, Literal

import msgspec
from asgiref.sync import sync_to_async
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connections
from django.utils.connection import ConnectionDoesNotExist

from chat_memory import wiring
from chat_memory.cache.client import Unavailable
from chat_memory.cache.keys import PROBE_KEY
from chat_memory.complaints import words_for
from chat_memory.conf import live
from chat_memory.log_limit import LogLimit
from chat_memory.records import Address
from chat_memory.storage.contract import Adapter

logger = logging.getLogger("chat_memory.health")

Status = Literal["healthy", "degraded", "unhealthy"]
PATIENCE = 2.0
"""Seconds the database may take to answer."""
GIVEN_UP = 30.0
"""Seconds until a look that hangs is left to itself and another one tried."""
UNFIT = frozenset({ImproperlyConfigured.__name__, ConnectionDoesNotExist.__name__})
"""The kinds of trouble that mean: the settings are wrong, no server is down."""


class DatabaseHealth(msgspec.Struct, frozen=True):
    """Whether the database answers.

    Attributes:
        ok: it answered a look at the sessions.
        latency_ms: how long that took, in milliseconds, connecting left out; None where it did not answer.
        error: the kind of trouble, never its text, which may name hosts and users; "" where there is none.
        reason: what the database said, in fixed words such as "no such table"; "" where it did not answer.
    """

    ok: bool
    latency_ms: float | None = None
    error: str = ""
    reason: str = ""


class CacheHealth(msgspec.Struct, frozen=True):
    """Whether Redis serves.

    Attributes:
        mode: off, strict or bounded.
        ok: it answered, ran a script and took what that wrote, or none is wanted.
        latency_ms: a round trip, in milliseconds; None without an answer.
        breaker_open: whether this process leaves Redis alone after failures.
        connections: how many clients Redis has; None where it does not tell.
        memory_bytes: what its data takes; None where it does not tell.
        error: as in ``DatabaseHealth``.
    """

    mode: str
    ok: bool
    latency_ms: float | None = None
    breaker_open: bool = False
    connections: int | None = None
    memory_bytes: int | None = None
    error: str = ""


class Health(msgspec.Struct, frozen=True):
    """What works.

    Attributes:
        status: healthy; degraded: the cache is down, so everything works and is slower; unhealthy: nothing works.
        message: the same in words.
        database: the source of truth.
        cache: what is in front of it.
    """

    status: Status
    message: str
    database: DatabaseHealth
    cache: CacheHealth

    @property
    def metrics(self) -> dict[str, float | None]:
        """The numbers that a provider's health check shows: connections, bytes, milliseconds."""
        times = [part.latency_ms for part in (self.database, self.cache) if part.latency_ms is not None]
        return {
            "active_connections": self.cache.connections,
            "memory_usage": self.cache.memory_bytes,
            "avg_response_time": fmean(times) if times else None,
        }


def health(using: str | None = None) -> Health:
    """Ask database and cache for an answer; never raises, and takes no longer than some seconds.

    Args:
        using: the database alias; None: where the router writes sessions.
    """
    database, cache = _database(using), _cache()
    if not database.ok:
        return Health("unhealthy", _why(database), database, cache)
    if not cache.ok:
        return Health("degraded", f"Works without its cache: {cache.error}.", database, cache)
    both = "Database and cache answer." if cache.mode != "off" else "The database answers; there is no cache."
    return Health("healthy", both, database, cache)


async def ahealth(using: str | None = None) -> Health:
    """Async twin of ``health``."""
    return await sync_to_async(health)(using)


def _why(database: DatabaseHealth) -> str:
    if database.reason:
        return f"The database answers with an error: {database.reason} ({database.error})."
    why = "The settings do not fit" if database.error in UNFIT else "The database does not answer"
    return f"{why}: {database.error}."


def _database(using: str | None) -> DatabaseHealth:
    try:
        adapter = wiring.adapter(using)
        alias = adapter.alias
        # SQLite cannot hang, and one in memory is there for its own thread alone.
        if alias is None or connections[alias].vendor == "sqlite":
            return DatabaseHealth(True, _look(adapter))
        return _looks.look(alias, lambda: _look_and_leave(adapter, alias))
    except Exception as error:  # noqa: BLE001  # wrong settings too are an answer
        return _failed(error)


def _look(adapter: Adapter) -> float:
    """Milliseconds it takes to learn, by the way that reads go, that there is no session of a name none can have."""
    begin = time.perf_counter()
    adapter.messages.peek(Address("health", ""))
    return _milliseconds(begin)


def _look_and_leave(adapter: Adapter, alias: str) -> float:
    try:
        connections[alias].ensure_connection()
        return _look(adapter)
    finally:
        connections[alias].close()


class _Look(threading.Thread):
    """A look at the database in a thread of its own, since nothing ends a call to a frozen server."""

    def __init__(self, call: Callable[[], float]) -> None:
        super().__init__(name="chat_memory.health", daemon=True)
        self._call = call
        self.begun = time.monotonic()
        self.found = DatabaseHealth(False)

    def run(self) -> None:
        """Look."""
        try:
            self.found = DatabaseHealth(True, self._call())
        except Exception as error:  # noqa: BLE001  # an answer as well
            self.found = _failed(error)


class _Looks:
    """One look at a time for each alias, which all who ask meanwhile share; one that hangs is given up in the end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: dict[str, _Look] = {}

    def look(self, alias: str, call: Callable[[], float]) -> DatabaseHealth:
        """What is found within PATIENCE."""
        with self._lock:
            look = self._under_way.get(alias)
            if look is None or not look.is_alive() or time.monotonic() - look.begun > GIVEN_UP:
                look = self._under_way[alias] = _Look(call)
                look.start()
        look.join(PATIENCE)
        if look.is_alive():
            return DatabaseHealth(False, error=_kind(TimeoutError(f"no answer within {PATIENCE:g} seconds")))
        return look.found


_looks = _Looks()


def _cache() -> CacheHealth:
    mode = "unknown"
    try:
        mode = wiring.cache_mode(live.now())
        return CacheHealth(mode, True) if mode == "off" else _redis(mode)
    except Exception as error:  # noqa: BLE001  # wrong settings too are an answer
        return CacheHealth(mode, False, error=_kind(error))


def _redis(mode: str) -> CacheHealth:
    client = wiring.cache_client()
    begin = time.perf_counter()
    try:
        client.ping()
        latency = _milliseconds(begin)
        client.probe(PROBE_KEY)  # one that is read-only, full or without scripts answers, and is of no use
    except Unavailable as error:
        return CacheHealth(mode, False, breaker_open=client.breaker.is_open, error=str(error))
    try:
        told: dict[str, Any] = client.info()
    except Unavailable:  # it answers, but does not tell of itself
        told = {}
    return CacheHealth(mode, True, latency, False, told.get("connected_clients"), told.get("used_memory"))


def _failed(error: Exception) -> DatabaseHealth:
    return DatabaseHealth(
        False, error=_kind(error), reason=words_for(error) if isinstance(error, DatabaseError) else ""
    )


def _milliseconds(begin: float) -> float:
    return round((time.perf_counter() - begin) * 1000, 3)


def _kind(error: Exception) -> str:
    """What may be shown to anybody; the rest goes into the log."""
    kind = type(error).__name__
    if _log_limit.allows(kind):
        logger.warning("chat_memory is not healthy: %s", kind, exc_info=error)
    return kind


_log_limit = LogLimit()
