"""Owns the health report on database and cache; it must not raise, and must not wait for a server that hangs."""

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
"""The maximum seconds to wait for the database."""
GIVEN_UP = 30.0
"""Seconds after which a probe that hangs is abandoned, so that another one may start."""
UNFIT = frozenset({ImproperlyConfigured.__name__, ConnectionDoesNotExist.__name__})
"""The values of ``error`` that mean that the settings are wrong, not that a server is down."""


class DatabaseHealth(msgspec.Struct, frozen=True):
    """Whether the database answers.

    Attributes:
        ok: whether it answered a query on the sessions.
        latency_ms: the milliseconds of that query, without the time to connect; None where it did not answer.
        error: the class name of the error, "" where there is none; never its text, which may name hosts and users.
        reason: what the database said, in fixed words such as "no such table"; "" where it did not answer.
    """

    ok: bool
    latency_ms: float | None = None
    error: str = ""
    reason: str = ""


class CacheHealth(msgspec.Struct, frozen=True):
    """Whether the cache's Redis works.

    Attributes:
        mode: off, strict or bounded; "unknown" where the settings are invalid.
        ok: whether Redis answered and ran a script that writes; True where the mode is off.
        latency_ms: the milliseconds of a round trip; None where Redis did not answer, or the mode is off.
        breaker_open: whether this process does not call Redis for now, after failures.
        connections: the number of clients connected to Redis; None where Redis does not tell.
        memory_bytes: the bytes of memory that Redis uses; None where Redis does not tell.
        error: the class name of the error, the first word of Redis' error reply, or "the breaker is open"; "" where
            there is none.
    """

    mode: str
    ok: bool
    latency_ms: float | None = None
    breaker_open: bool = False
    connections: int | None = None
    memory_bytes: int | None = None
    error: str = ""


class Health(msgspec.Struct, frozen=True):
    """The health of database and cache.

    Attributes:
        status: healthy: both work; degraded: only the cache fails, so reads are slower; unhealthy: the database fails.
        message: the status in words.
        database: the health of the database.
        cache: the health of the cache.
    """

    status: Status
    message: str
    database: DatabaseHealth
    cache: CacheHealth

    @property
    def metrics(self) -> dict[str, float | None]:
        """Redis' connections and bytes of memory, and the mean latency in milliseconds; None where not known."""
        times = [part.latency_ms for part in (self.database, self.cache) if part.latency_ms is not None]
        return {
            "active_connections": self.cache.connections,
            "memory_usage": self.cache.memory_bytes,
            "avg_response_time": fmean(times) if times else None,
        }


def health(using: str | None = None) -> Health:
    """Check that database and cache answer; never raises, and takes a few seconds at most.

    Args:
        using: the database alias; None: the alias to which the router writes sessions.
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
    why = "The settings are invalid" if database.error in UNFIT else "The database does not answer"
    return f"{why}: {database.error}."


def _database(using: str | None) -> DatabaseHealth:
    try:
        adapter = wiring.adapter(using)
        alias = adapter.alias
        # SQLite cannot hang, and a database in memory is visible only to the thread that opened it.
        if alias is None or connections[alias].vendor == "sqlite":
            return DatabaseHealth(True, _query_time(adapter))
        return _probes.result(alias, lambda: _query_time_on_own_connection(adapter, alias))
    except Exception as error:  # noqa: BLE001  # invalid settings are reported too
        return _failed(error)


def _query_time(adapter: Adapter) -> float:
    """The milliseconds of a query, run as reads are, for a session that cannot exist since its key is empty."""
    begin = time.perf_counter()
    adapter.messages.peek(Address("health", ""))
    return _milliseconds(begin)


def _query_time_on_own_connection(adapter: Adapter, alias: str) -> float:
    """As ``_query_time``, on a connection that is closed afterwards, since the thread ends."""
    try:
        connections[alias].ensure_connection()
        return _query_time(adapter)
    finally:
        connections[alias].close()


class _Probe(threading.Thread):
    """A query on the database in a thread of its own, since a call to a frozen server cannot be interrupted."""

    def __init__(self, call: Callable[[], float]) -> None:
        super().__init__(name="chat_memory.health", daemon=True)
        self._call = call
        self.begun = time.monotonic()
        self.found = DatabaseHealth(False)

    def run(self) -> None:
        """Run the query and store the result in ``found``."""
        try:
            self.found = DatabaseHealth(True, self._call())
        except Exception as error:  # noqa: BLE001  # the error is the result
            self.found = _failed(error)


class _Probes:
    """At most one probe per alias at a time, shared by concurrent callers; after GIVEN_UP another one may start."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[str, _Probe] = {}

    def result(self, alias: str, call: Callable[[], float]) -> DatabaseHealth:
        """The result of the running probe or of a new one; a TimeoutError if it takes longer than PATIENCE."""
        with self._lock:
            probe = self._running.get(alias)
            if probe is None or not probe.is_alive() or time.monotonic() - probe.begun > GIVEN_UP:
                probe = self._running[alias] = _Probe(call)
                probe.start()
        probe.join(PATIENCE)
        if probe.is_alive():
            return DatabaseHealth(False, error=_kind(TimeoutError(f"no answer within {PATIENCE:g} seconds")))
        return probe.found


_probes = _Probes()


def _cache() -> CacheHealth:
    mode = "unknown"
    try:
        mode = wiring.cache_mode(live.now())
        return CacheHealth(mode, True) if mode == "off" else _redis(mode)
    except Exception as error:  # noqa: BLE001  # invalid settings are reported too
        return CacheHealth(mode, False, error=_kind(error))


def _redis(mode: str) -> CacheHealth:
    client = wiring.cache_client()
    begin = time.perf_counter()
    try:
        client.ping()
        latency = _milliseconds(begin)
        client.probe(PROBE_KEY)  # a server that is read-only, full or forbids scripts answers a ping, but is no use
    except Unavailable as error:
        return CacheHealth(mode, False, breaker_open=client.breaker.is_open, error=str(error))
    try:
        info: dict[str, Any] = client.info()
    except Unavailable:  # it works, but does not permit INFO
        info = {}
    return CacheHealth(mode, True, latency, False, info.get("connected_clients"), info.get("used_memory"))


def _failed(error: Exception) -> DatabaseHealth:
    return DatabaseHealth(
        False, error=_kind(error), reason=words_for(error) if isinstance(error, DatabaseError) else ""
    )


def _milliseconds(begin: float) -> float:
    return round((time.perf_counter() - begin) * 1000, 3)


def _kind(error: Exception) -> str:
    """The class name of an error, which may be shown to anybody; the whole error is logged."""
    kind = type(error).__name__
    if _log_limit.allows(kind):
        logger.warning("chat_memory is not healthy: %s", kind, exc_info=error)
    return kind


_log_limit = LogLimit()
