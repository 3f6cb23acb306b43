"""Owns how a hand-written statement reaches the database; it must not know what the statement says."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import cache
from typing import Any
from uuid import UUID

from django.db.backends.base.base import BaseDatabaseWrapper

from chat_memory.conf import settings

try:
    import psycopg
    from psycopg.types.numeric import Int8
except ImportError:  # a host on SQLite alone needs no driver
    psycopg = None  # type: ignore[assignment]

FEW = 100
"""Rows that a thread may keep in memory beyond its call."""


def fetch(connection: BaseDatabaseWrapper, sql: str, params: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Run a statement with ``%(name)b`` placeholders and return its rows.

    On PostgreSQL it goes over psycopg's own cursor, in binary and prepared as the alias' ``prepare_threshold`` says:
    that halves a short call, since Django's cursor binds on the client. Whoever watches (query log, assertNumQueries,
    execute wrappers) or sets RAW_CURSOR to False gets Django's cursor.
    """
    if connection.vendor == "postgresql" and not (
        connection.execute_wrappers or connection.queries_logged or not settings.raw_cursor
    ):
        return _fetch_raw(connection, sql, params)
    with connection.cursor() as cursor:
        cursor.execute(_text_placeholders(sql), params)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


def uuid_value(connection: BaseDatabaseWrapper, ident: UUID) -> Any:
    """An id as a hand-written statement takes it: SQLite stores text."""
    return ident if connection.features.has_native_uuid_field else ident.hex


def as_uuid(stored: UUID | str) -> UUID:
    """An id as a hand-written statement gives it."""
    return stored if isinstance(stored, UUID) else UUID(stored)


def _fetch_raw(connection: BaseDatabaseWrapper, sql: str, params: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    # No more than these two of what Django's cursor looks at: the connection is this thread's, since `connections` gave
    # it, and errors are translated as they come. A short call takes a third longer with all of it.
    connection.ensure_connection()
    if connection.needs_rollback:
        connection.validate_no_broken_transaction()
    cursor = _cursor(connection.connection)
    try:
        cursor.execute(sql, _typed(params), binary=True)
        rows = cursor.fetchall()
    except psycopg.Error:
        with connection.wrap_database_errors:
            raise
    if len(rows) > FEW:
        cursor.close()  # else it would hold on to them until its next statement
    return rows


class _Kept(threading.local):
    """The cursor a thread used last: a new one for each short statement costs a tenth of it."""

    cursor: psycopg.Cursor[Any] | None = None


_kept = _Kept()


def _cursor(connection: psycopg.Connection[Any]) -> psycopg.Cursor[Any]:
    cursor = _kept.cursor
    if cursor is None or cursor.connection is not connection or cursor.closed:
        cursor = _kept.cursor = psycopg.Cursor(connection)
    return cursor


def _typed(params: Mapping[str, Any]) -> dict[str, Any]:
    """Every whole number as bigint: psycopg's own choice by size would prepare each statement once per size."""
    return {name: Int8(value) if type(value) is int else value for name, value in params.items()}


@cache
def _text_placeholders(sql: str) -> str:
    return sql.replace(")b", ")s")
