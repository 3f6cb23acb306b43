"""Owns when a write is tried again and in which transaction it runs; it must not know what is written."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

from django.db import OperationalError, connections, transaction

Result = TypeVar("Result")

RETRY_SECONDS = 20.0
_LONGEST_PAUSE = 0.1
_SERIALIZATION_FAILURE, _DEADLOCK = "40001", "40P01"


def owns_transaction(alias: str) -> bool:
    """Whether a write here is a transaction of its own, not part of the caller's."""
    connection = connections[alias]
    return connection.get_autocommit() and not connection.in_atomic_block


def own_or_callers(alias: str) -> AbstractContextManager[None]:
    """A transaction of our own, or the caller's as it stands.

    No savepoint in the caller's: every refusal is raised before the first write, so there is nothing to undo.
    """
    return transaction.atomic(using=alias) if owns_transaction(alias) else nullcontext()


def retrying(alias: str, write: Callable[[], Result]) -> Result:
    """Run a write; where the transaction is ours, again after a busy SQLite, a deadlock or a serialization failure.

    Raises:
        OperationalError: still so after 20 seconds, or the transaction is the caller's, who must then retry it whole.
    """
    return trying_again(write) if owns_transaction(alias) else write()


def trying_again(write: Callable[[], Result]) -> Result:
    """Run a write that is a transaction of ours, as ``retrying`` does.

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
