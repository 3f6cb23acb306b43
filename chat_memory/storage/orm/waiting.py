"""Owns how long a write waits for a lock, and how many requests wait for the same conversation.

A write waits LOCK_TIMEOUT at most; its statements contain this bound (``statements.waiting``). A request occupies a
worker that others need too, so it first tries with timeouts of some milliseconds. If that is not enough, it takes one
of the conversation's LOCK_WAITERS waiting places, which are advisory locks, and waits there. If no place is free, it
keeps trying as long as the lock changes hands, and gives up as soon as the requests in the places wait for a
transaction that does not end. This module must not know what is written.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from django.db import DatabaseError, connections, transaction
from django.db.models import BooleanField
from django.db.models.expressions import RawSQL

from chat_memory.conf import settings
from chat_memory.exceptions import Busy
from chat_memory.records import Address
from chat_memory.storage.orm.cursor import fetch
from chat_memory.storage.orm.passing import has_timed_out, is_locked
from chat_memory.storage.orm.statements import waiting as statements

Result = TypeVar("Result")

TRIES = (20, 15, 15)
"""How long the first tries wait, in milliseconds; every further try waits as long as the last of them."""
STUCK = 50
"""A transaction that is older than this, in milliseconds, counts as one that holds its locks for long. If the machine
is so busy that tries take longer than their timeouts, this age grows by the same factor."""
TRUSTED, REMEMBERED = 1.0, 10.0
"""For TRUSTED seconds, a conversation that was stuck counts as still stuck while all its places are taken. For
REMEMBERED seconds, a request asks for a place there without a first try."""
MOST_REMEMBERED = 1_000
NAMED = 5
"""The number of conversations that an error names."""
_IN_ERROR = 3
"""libpq's status of a transaction in which a statement failed."""

_waiters: ContextVar[int | None] = ContextVar("chat_memory_waiters", default=None)
"""How many requests may wait for one conversation; None: the caller is no request, and just waits."""
_wait: ContextVar[int | None] = ContextVar("chat_memory_wait", default=None)
"""How long the present try may wait, in milliseconds; None: LOCK_TIMEOUT."""
_stuck: dict[tuple[str, str, str], float] = {}
"""The conversations that were stuck, each with the time (monotonic clock) at which that was seen."""


@contextmanager
def request() -> Iterator[None]:
    """Mark writes in the block as those of a request: only a few requests may wait for the same conversation."""
    before = _waiters.set(settings.lock_waiters)
    try:
        yield
    finally:
        _waiters.reset(before)


@contextmanager
def reading() -> Iterator[None]:
    """Mark writes in the block as side effects of a read: they wait only as long as a first try."""
    with _waiting(TRIES[0]):
        yield


def milliseconds() -> int:
    """How long a statement may wait for a lock; 0: as long as the host's ``lock_timeout`` says."""
    wait = _wait.get()
    if wait is not None:
        return wait
    timeout = settings.lock_timeout
    return max(1, round(timeout * 1000)) if timeout else 0


def in_turn(alias: str, at: Address | None, write: Callable[[], Result]) -> Result:
    """Run a write that is a transaction of its own, waiting as this module says.

    Args:
        alias: the database.
        at: the conversation that is written to; None: several or none, for which requests wait like other writes.
        write: the write, whose statements contain the bound; it is called again after each try that timed out.

    Raises:
        Busy: another transaction held a lock for too long.
    """
    begin = time.monotonic()
    places = _waiters.get()
    try:
        if places is None or at is None or connections[alias].vendor != "postgresql" or not milliseconds():
            return write()
        return _as_request(alias, at, write, places)
    except DatabaseError as error:
        if has_timed_out(error):
            raise busy(alias, at, begin) from error
        raise


def bounds() -> RawSQL:
    """The bound as a condition for a PostgreSQL query that locks the rows that it finds."""
    text = statements.bound(milliseconds())
    return RawSQL(text, (), output_field=BooleanField())  # noqa: S611  # only numbers


@contextmanager
def bounded(alias: str, at: Address | None = None) -> Iterator[None]:
    """Limit lock waits in the block to LOCK_TIMEOUT, within the caller's transaction; afterwards restore its setting.

    Raises:
        Busy: another transaction held a lock for too long; the caller has to roll back, as after every database error.
    """
    connection, begin, wait = connections[alias], time.monotonic(), milliseconds()
    bounds = bool(wait) and connection.vendor == "postgresql"
    before = fetch(connection, statements.bound_now(wait), {}, brief=True)[0][0] if bounds else None
    try:
        yield
    except DatabaseError as error:
        if is_locked(error):
            raise busy(alias, at, begin) from error
        raise
    finally:
        if before is not None and _is_usable(alias):
            fetch(connection, statements.RESTORED, {"before": before}, brief=True)


@contextmanager
def transaction_bounded(alias: str, at: Address | None = None) -> Iterator[None]:
    """A transaction, or a savepoint in the caller's, in which every lock wait is at most LOCK_TIMEOUT.

    Raises:
        Busy: another transaction held a lock for too long.
    """
    with transaction.atomic(using=alias), bounded(alias, at):
        yield


def bound_transaction(alias: str) -> None:
    """Limit every lock wait of the open transaction, which is ours, by a separate statement."""
    wait = milliseconds()
    if wait and connections[alias].vendor == "postgresql":
        fetch(connections[alias], statements.bound_now(wait), {}, brief=True)


def busy(alias: str, at: Address | None, begin: float) -> Busy:
    """The error of a write that has waited since ``begin`` (monotonic clock); SQLite locks its whole file."""
    if at is None or connections[alias].vendor == "sqlite":
        return Busy("the database", time.monotonic() - begin)
    return Busy(named([at]), time.monotonic() - begin)


def named(places: Sequence[Address]) -> str:
    """The conversations of a write that waits, for an error; of several it is not known which one is locked."""
    if len(places) == 1:
        return f"conversation {places[0].key!r} in workspace {places[0].workspace!r}"
    keys = ", ".join([repr(at.key) for at in places[:NAMED]] + ["..."] * (len(places) > NAMED))
    workspaces = sorted({at.workspace for at in places})
    where = f" in workspace {workspaces[0]!r}" if len(workspaces) == 1 else ""
    return f"one of {len(places)} conversations ({keys}){where}"


def _as_request(alias: str, at: Address, write: Callable[[], Result], places: int) -> Result:
    """Try, then wait in a place; give up if no place is free and the lock does not change hands."""
    begin, whole, tries = time.monotonic(), milliseconds(), iter(TRIES)
    conversation = (alias, at.workspace, at.key)
    since = begin - _stuck.get(conversation, begin - REMEMBERED)
    tried = 0
    if since < TRUSTED and not _take_place(alias, conversation, places):  # autocommit: the place is freed at once
        raise busy(alias, at, begin)
    wait = 0 if since < REMEMBERED else next(tries)
    while True:
        if wait:
            try:
                with _waiting(min(wait, whole)):
                    return write()
            except (Busy, DatabaseError) as error:
                if not _waited_in_vain(error):
                    raise
            tried += min(wait, whole)
        with transaction.atomic(using=alias):
            if _take_place(alias, conversation, places):
                with _waiting(whole):
                    result = write()
                _stuck.pop(conversation, None)
                return result
            late = (time.monotonic() - begin) * 1000 / tried if tried else 1.0
            stuck = _is_stuck(alias, conversation, places, STUCK * max(1.0, late))
        if stuck or time.monotonic() - begin > whole / 1000:
            raise busy(alias, at, begin)
        wait = next(tries, TRIES[-1])


def _waited_in_vain(error: Exception) -> bool:
    return isinstance(error, Busy) or has_timed_out(error)


@contextmanager
def _waiting(wait: int) -> Iterator[None]:
    """Limit lock waits of writes in the block to ``wait`` milliseconds."""
    before = _wait.set(wait)
    try:
        yield
    finally:
        _wait.reset(before)


def _take_place(alias: str, conversation: tuple[str, str, str], places: int) -> bool:
    values = {"conversation": _named(conversation), "places": places}
    return fetch(connections[alias], statements.PLACE_TAKEN, values)[0][0] is not None


def _is_stuck(alias: str, conversation: tuple[str, str, str], places: int, age: float) -> bool:
    """Whether the requests in the places wait for a transaction older than ``age`` milliseconds; if so, remember it."""
    values = {"conversation": _named(conversation), "places": places, "age": round(age)}
    stuck = bool(fetch(connections[alias], statements.IS_STUCK, values)[0][0])
    if stuck:
        if len(_stuck) >= MOST_REMEMBERED:
            _stuck.clear()
        _stuck[conversation] = time.monotonic()
    return stuck


def _named(conversation: tuple[str, str, str]) -> str:
    """The conversation's name for advisory locks, without the alias, which another process may name differently."""
    return "\n".join(("chat_memory", *conversation[1:]))


def _is_usable(alias: str) -> bool:
    """Whether the caller's transaction can run another statement; if not, its rollback restores the setting."""
    connection = connections[alias]
    if connection.needs_rollback or connection.connection is None or connection.connection.closed:
        return False
    return bool(connection.connection.pgconn.transaction_status != _IN_ERROR)
