"""Owns which database errors are transient, so that the same call may succeed later; it must not handle them.

Errors of a program, such as an invalid statement, are never transient.
"""

from __future__ import annotations

from typing import Any

from django.db import Error, InterfaceError, OperationalError

_LOCK_NOT_AVAILABLE = "55P03"
_CROSSED = frozenset({"40001", "40P01"})
"""A serialization failure and a deadlock."""
_UNAVAILABLE = frozenset(
    {
        "25006",  # a read-only server or transaction
        "25P03",  # the transaction was idle for too long
        "25P04",  # the transaction took too long
        "57014",  # statement_timeout, or canceled by hand
        "57P01",  # shut down by an administrator
        "57P02",  # a crash elsewhere in the server
        "57P03",  # starting up, or in recovery
        "57P05",  # the session was idle for too long
        "58030",  # input or output failed
    }
)
_UNAVAILABLE_CLASSES = ("08", "53")
"""No connection; too little memory or disk, or too few connections."""
_SQLITE_LOCKED = ("SQLITE_BUSY", "SQLITE_LOCKED")
_SQLITE_UNAVAILABLE = ("SQLITE_CANTOPEN", "SQLITE_FULL", "SQLITE_IOERR", "SQLITE_READONLY")


def is_locked(error: BaseException) -> bool:
    """Whether another transaction held a lock for longer than the statement was allowed to wait."""
    return has_timed_out(error) or _sqlite_name(error).startswith(_SQLITE_LOCKED)


def has_timed_out(error: BaseException) -> bool:
    """As ``is_locked``, for PostgreSQL only: the statement waited for the whole ``lock_timeout``."""
    return _sqlstate(error) == _LOCK_NOT_AVAILABLE


def is_crossed(error: BaseException) -> bool:
    """Whether the transaction was ended because of a deadlock or a serialization failure."""
    return _sqlstate(error) in _CROSSED


def is_unavailable(error: BaseException) -> bool:
    """Whether the database cannot do this now: it is away, full, read-only or overloaded, or no connection is free."""
    if not isinstance(error, Error):
        return False
    state = _sqlstate(error)
    if state is not None:
        return state in _UNAVAILABLE or state.startswith(_UNAVAILABLE_CLASSES)
    name = _sqlite_name(error)
    if name:
        return name.startswith(_SQLITE_UNAVAILABLE)
    # A connection that could not be made, was lost, or was not given by a pool has neither a state nor a name.
    return isinstance(error, (OperationalError, InterfaceError)) and _is_of_a_driver(error)


def _is_of_a_driver(error: BaseException) -> bool:
    return type(_cause(error)).__module__.partition(".")[0] in {"psycopg", "psycopg_pool"}


def _sqlstate(error: BaseException) -> str | None:
    state: str | None = getattr(_cause(error), "sqlstate", None)
    return state


def _sqlite_name(error: BaseException) -> str:
    return str(getattr(_cause(error), "sqlite_errorname", ""))


def _cause(error: BaseException) -> Any:
    """The driver's error, from which Django's error is raised."""
    return error.__cause__ if isinstance(error, Error) and error.__cause__ is not None else error
