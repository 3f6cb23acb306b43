"""Owns the execution of hand-written statements; it must not know what a statement says."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cache, lru_cache
from typing import Any
from uuid import UUID

from django.core.exceptions import SynchronousOnlyOperation
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.expressions import RawSQL

from chat_memory.conf import settings
from chat_memory.models import Session

try:
    import psycopg
    from psycopg.types.array import ListBinaryDumper
    from psycopg.types.numeric import Int8
except ImportError:  # a host with only SQLite needs no driver
    psycopg = None  # type: ignore[assignment]

AWAITED = "chat_memory: in a coroutine await the async twin, such as `aappend` for `append` and `atail` for `tail`."
"""The hint that is added to Django's error about a synchronous call."""
CURSORS = ("cursor", "_cursor", "create_cursor", "make_cursor", "_prepare_cursor", "ensure_connection")
"""The methods that a database back end overrides to act before a statement, or to see it."""
STATEMENTS = 1_000
"""The number of statements that are kept in PostgreSQL's form; it is limited, since searches build their own texts."""
_PLACEHOLDER = re.compile(r"%\((\w+)\)[bs]")  # %(name)s is in statements of ``beside``, which Django's cursor runs too


def fetch(
    connection: BaseDatabaseWrapper, sql: str, params: Mapping[str, Any], *, brief: bool = False
) -> list[tuple[Any, ...]]:
    """Run a statement with ``%(name)b`` placeholders and return its rows; ``brief``: values and rows are small.

    On PostgreSQL it uses psycopg's own cursor, in binary form and prepared as the alias' ``prepare_threshold`` says.
    That halves the time of a short call, because Django's cursor binds parameters on the client. Django's cursor is
    used if queries are watched (query log, assertNumQueries, execute wrappers), if the back end makes its own cursors
    (for example to set a tenant's schema first), or if RAW_CURSOR is False.
    """
    wrapper: Any = type(connection)
    try:
        if _makes_plain_cursors(wrapper) and not (
            connection.execute_wrappers or connection.queries_logged or not settings.raw_cursor
        ):
            return fetch_raw(connection, sql, params, brief=brief)
        with connection.cursor() as cursor:
            cursor.execute(_text_placeholders(sql), params)
            rows: list[tuple[Any, ...]] = cursor.fetchall()
            return rows
    except SynchronousOnlyOperation as error:
        error.add_note(AWAITED)
        raise


def fetch_until_full(
    connection: BaseDatabaseWrapper,
    sql: str,
    params: Mapping[str, Any],
    texts_of: Callable[[tuple[Any, ...]], Iterable[str | None]],
) -> tuple[list[tuple[Any, ...]], bool]:
    """As ``fetch``, but stop before the texts of the rows exceed ``most`` characters; one row with texts always comes.

    For SQLite, which computes each row on demand. Rows without texts, such as a header, do not count. The second value
    says whether a row was left out.
    """
    rows: list[tuple[Any, ...]] = []
    spent = 0
    with connection.cursor() as cursor:
        cursor.execute(_text_placeholders(sql), params)
        for row in cursor:
            own = sum(map(len, filter(None, texts_of(row))))
            if spent and spent + own > params["most"]:
                return rows, True
            spent += own
            rows.append(row)
    return rows, False


@cache
def _makes_plain_cursors(wrapper: Any) -> bool:
    """Whether a back end is PostgreSQL's and makes cursors exactly as Django does."""
    if wrapper.vendor != "postgresql":
        return False
    from django.db.backends.postgresql.base import DatabaseWrapper  # noqa: PLC0415  # it needs the driver

    return all(getattr(wrapper, name) is getattr(DatabaseWrapper, name) for name in CURSORS)


def uuid_value(connection: BaseDatabaseWrapper, ident: UUID) -> Any:
    """An id as a hand-written statement takes it: SQLite stores text."""
    return ident if connection.features.has_native_uuid_field else ident.hex


def user_value(connection: BaseDatabaseWrapper, user_id: Any) -> Any:
    """The primary key of a user as a hand-written statement takes it, whatever its type is."""
    if type(user_id) is int:  # the usual case; asking the field is slow
        return user_id
    return Session._meta.get_field("user").get_db_prep_value(user_id, connection)


def among(alias: str, ids: Collection[UUID]) -> Any:
    """The right side of an ``__in`` with many ids; on PostgreSQL one parameter, which is parsed faster."""
    if connections[alias].vendor != "postgresql":
        return ids
    return RawSQL("SELECT unnest(%s::uuid[])", [f"{{{','.join(map(str, ids))}}}"])


def as_uuid(stored: UUID | str) -> UUID:
    """An id from the result of a hand-written statement."""
    return stored if isinstance(stored, UUID) else UUID(stored)


def fetch_raw(
    connection: BaseDatabaseWrapper, sql: str, params: Mapping[str, Any], *, brief: bool = False
) -> list[tuple[Any, ...]]:
    """As ``fetch``, for PostgreSQL only and always on psycopg's own cursor."""
    # The checks of Django's cursor, except the one for the thread: `connections` gives each thread its own connection.
    # Errors are converted only when they occur. With all that Django does, a short call would take a third longer.
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    if connection.needs_rollback:
        connection.validate_no_broken_transaction()
    cursor = _kept.of(connection.connection) if brief else psycopg.RawCursor(connection.connection)
    text, names = _numbered(sql)
    # Every whole number as bigint: psycopg's own choice by size would prepare each statement once per size.
    values = [Int8(value) if type(value) is int else value for value in map(params.__getitem__, names)]
    if list in map(type, values):  # arrays as text take three times as long
        cursor.adapters.register_dumper(list, ListBinaryDumper)
    try:
        cursor.execute(text, values, binary=True)
        rows = cursor.fetchall()
    except psycopg.Error:
        with connection.wrap_database_errors:
            raise
    if not brief:
        cursor.close()
    return rows


class _Kept(threading.local):
    """The cursor that a thread uses again for brief statements, because making one takes a tenth of their time.

    It is not used for others, because it keeps the values and the rows of its last statement in memory.
    """

    cursor: psycopg.RawCursor[Any] | None = None

    def of(self, connection: psycopg.Connection[Any]) -> psycopg.RawCursor[Any]:
        cursor = self.cursor
        if cursor is None or cursor.connection is not connection or cursor.closed:
            cursor = self.cursor = psycopg.RawCursor(connection)
        return cursor


_kept = _Kept()


@lru_cache(maxsize=STATEMENTS)
def _numbered(sql: str) -> tuple[str, tuple[str, ...]]:
    """A statement with ``$1`` for its first name and so on, and the names in that order.

    For statements of more than 4,096 characters psycopg would search the names again on every call; for the statement
    that creates a conversation, that took as long as PostgreSQL itself.
    """
    numbers: dict[str, int] = {}
    text = _PLACEHOLDER.sub(lambda found: f"${numbers.setdefault(found[1], len(numbers) + 1)}", sql)
    return text, tuple(numbers)


@cache
def _text_placeholders(sql: str) -> str:
    return sql.replace(")b", ")s")
