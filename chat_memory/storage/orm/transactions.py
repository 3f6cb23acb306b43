"""Owns the transaction in which a write runs, and its retries; it must not know what is written."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from typing import Protocol, TypeVar

from django.core.exceptions import SynchronousOnlyOperation
from django.db import OperationalError, connections, transaction

from chat_memory.exceptions import TransactionOpen
from chat_memory.records import Address
from chat_memory.storage.orm.cursor import AWAITED
from chat_memory.storage.orm.passing import is_crossed, is_locked
from chat_memory.storage.orm.waiting import bound_transaction, bounded, busy, in_turn

Result = TypeVar("Result")
Result_co = TypeVar("Result_co", covariant=True)

RETRY_SECONDS = 20.0
_LONGEST_PAUSE = 0.1


class Work(Protocol[Result_co]):
    """A write; ``nested``: whether it is part of the caller's transaction, not one of its own."""

    def __call__(self, *, nested: bool) -> Result_co:
        """Write, and return the result."""


def run_write(alias: str, work: Work[Result], *, whole: bool = False, at: Address | None = None) -> Result:
    """Run a write in the caller's transaction if one is open; otherwise in its own, with retries (``trying_again``).

    Args:
        alias: the database.
        work: the write; each try calls it again.
        whole: in the caller's transaction, undo all of the write if it raises; without it, it must raise before it
            writes.
        at: the conversation, if the write begins with ``rows.lock`` or ``creating.create``, which bound the wait for
            its lock; None: the write begins otherwise.

    Raises:
        Busy: as ``trying_again``.
        OperationalError: as ``trying_again``; in the caller's transaction, without retries.
    """
    if not owns_transaction(alias):
        with bounded(alias, at), transaction.atomic(using=alias) if whole else nullcontext():
            return work(nested=True)

    def once() -> Result:
        with transaction.atomic(using=alias):
            if at is None:
                bound_transaction(alias)
            return work(nested=False)

    return trying_again(alias, once, at)


def run_durably(alias: str, work: Callable[[], Result], *, what: str, at: Address | None = None) -> Result:
    """Run a write in a transaction that no caller can roll back, with retries as in ``trying_again``.

    Args:
        alias: the database.
        work: the write; each try calls it again.
        what: what is written, for the error, such as ``a summary is made``.
        at: as for ``run_write``.

    Raises:
        TransactionOpen: the caller holds a transaction open.
        Busy: as ``trying_again``.
        OperationalError: as ``trying_again``.
    """

    def once() -> Result:
        with transaction.atomic(using=alias):  # not durable: a request may hold its waiting place around it
            return work()

    outside, connection = f"{what} outside of any transaction", connections[alias]
    if owns_transaction(alias):
        return trying_again(alias, once, at)
    if not connection.in_atomic_block:  # autocommit is off: the caller commits, and Django would permit the block
        raise TransactionOpen(outside)
    with ExitStack() as stack:
        stack.enter_context(bounded(alias, at))
        try:
            # Within another transaction Django permits a durable block only if that is a TestCase's.
            stack.enter_context(transaction.atomic(using=alias, durable=True))
        except RuntimeError as error:  # Django raises it for a durable block within another block
            raise TransactionOpen(outside) from error
        return work()


def owns_transaction(alias: str) -> bool:
    """Whether a write here is a transaction of its own, not part of the caller's."""
    connection = connections[alias]
    try:
        return connection.get_autocommit() and not connection.in_atomic_block
    except SynchronousOnlyOperation as error:
        error.add_note(AWAITED)
        raise


def trying_again(alias: str, write: Callable[[], Result], at: Address | None = None) -> Result:
    """Run a write that is its own transaction; retry it after a busy SQLite, a deadlock or a serialization failure.

    Raises:
        Busy: PostgreSQL did not grant a lock within LOCK_TIMEOUT, which is not retried, or SQLite was busy for 20
            seconds.
        OperationalError: a deadlock or a serialization failure, still after 20 seconds.
    """
    begin = time.monotonic()
    pause = 0.001
    while True:
        try:
            return in_turn(alias, at, write)
        except OperationalError as error:
            if not (is_crossed(error) or is_locked(error)):
                raise
            if time.monotonic() > begin + RETRY_SECONDS:
                if is_locked(error):
                    raise busy(alias, at, begin) from error
                raise
        time.sleep(random.uniform(0, pause))  # noqa: S311  # jitter, no secret
        pause = min(pause * 2, _LONGEST_PAUSE)
