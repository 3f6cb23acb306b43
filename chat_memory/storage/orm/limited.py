"""Owns how long a search may run: PostgreSQL and SQLite end a statement that takes longer than SEARCH_SECONDS."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import OperationalError, connections, transaction

from chat_memory.conf import settings
from chat_memory.exceptions import SearchTooLong

_CANCELED = "57014"
_LIMITED = """
SELECT setting, set_config('statement_timeout', LEAST(NULLIF(setting::int, 0), %s)::text, true)
FROM pg_settings WHERE name = 'statement_timeout'"""
_OPCODES = 10_000
"""The number of steps after which SQLite asks whether to go on."""


@contextmanager
def limited_time(alias: str) -> Iterator[None]:
    """End statements on this database that run longer than SEARCH_SECONDS, within the block.

    Raises:
        SearchTooLong: a statement was ended.
    """
    connection, seconds = connections[alias], settings.search_seconds
    limit = {"postgresql": _limited_postgresql, "sqlite": _limited_sqlite}.get(connection.vendor)
    if limit is None or not seconds:
        yield
        return
    with limit(connection, seconds):
        yield


@contextmanager
def _limited_postgresql(connection: Any, seconds: float) -> Iterator[None]:
    """Set the server's ``statement_timeout`` for one transaction; a shorter one that the host has set stays."""
    is_nested = connection.in_atomic_block
    try:
        with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
            cursor.execute(_LIMITED, [max(1, round(seconds * 1000))])
            ((before, _set),) = cursor.fetchall()
            yield
            if is_nested:
                cursor.execute("SELECT set_config('statement_timeout', %s, true)", [before])
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", None) == _CANCELED:
            raise SearchTooLong(seconds) from error
        raise


@contextmanager
def _limited_sqlite(connection: Any, seconds: float) -> Iterator[None]:
    connection.ensure_connection()
    end = time.monotonic() + seconds
    is_late = False

    def ask() -> bool:
        nonlocal is_late
        is_late = time.monotonic() > end
        return is_late

    connection.connection.set_progress_handler(ask, _OPCODES)
    try:
        yield
    except OperationalError as error:
        if is_late:
            raise SearchTooLong(seconds) from error
        raise
    finally:
        connection.connection.set_progress_handler(None, 0)
