"""Owns when a write is tried again and in which transaction it runs; it must not know what is written."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Protocol, TypeVar

from django.db import OperationalError, connections, transaction

Result = TypeVar("Result")
Result_co = TypeVar("Result_co", covariant=True)

RETRY_SECONDS = 20.0
_LONGEST_PAUSE = 0.1
_SERIALIZATION_FAILURE, _DEADLOCK = "40001", "40P01"


class Work(Protocol[Result_co]):
    """A write; ``nested``: whether it is part of the caller's transaction, not one of its own."""

    def __call__(self, *, nested: bool) -> Result_co:
        """Write, and return what the writer is to be told."""


def run_write(alias: str, work: Work[Result], *, whole: bool = False) -> Result:
    """Run a write in a transaction of its own, tried again as ``trying_again`` does, or else in the caller's.

    Args:
        alias: the database.
        work: the write; each try calls it anew.
        whole: in the caller's transaction undo all of it where it raises; otherwise it must raise before it writes.

    Raises:
        OperationalError: as ``trying_again``; where the transaction is the caller's, at once.
    """
    nested = not owns_transaction(alias)

    def once() -> Result:
        # Django's atomic() in a transaction is a savepoint, which costs two statements.
        with nullcontext() if nested and not whole else transaction.atomic(using=alias):
            return work(nested=nested)

    return once() if nested else trying_again(once)


def owns_transaction(alias: str) -> bool:
    """Whether a write here is a transaction of its own, not part of the caller's."""
    connection = connections[alias]
    return connection.get_autocommit() and not connection.in_atomic_block


def trying_again(write: Callable[[], Result]) -> Result:
    """Run a write that is a transaction of ours, again after a busy SQLite, a deadlock or a serialization failure.

    Raises:
        OperationalError: still so after 20 seconds.
    """
    deadline = time.monotonic() + RETRY_SECONDS
    pause = 0.001
    while True:
        try:
            return write()
        except OperationalError as error:
            if not _passing(error) or time.monotonic() > deadline:
                raise
        time.sleep(random.uniform(0, pause))  # noqa: S311  # jitter, no secret
        pause = min(pause * 2, _LONGEST_PAUSE)


def _passing(error: OperationalError) -> bool:
    cause = error.__cause__
    if getattr(cause, "sqlstate", None) in (_SERIALIZATION_FAILURE, _DEADLOCK):
        return True
    return str(getattr(cause, "sqlite_errorname", "")).startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))
