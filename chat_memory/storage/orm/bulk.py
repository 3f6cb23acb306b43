"""Owns how many rows a statement takes, and the bulk insert of messages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from chat_memory.fields import MESSAGE_COLUMNS
from chat_memory.models import Message
from chat_memory.storage.orm.cursor import uuid_value

Item = TypeVar("Item")
BATCH_SIZE = 500
"""How many rows one statement asks for or writes, where it names each of them."""
COLUMNS = ("workspace_id", "session_id", "seq", "turn", "crossed", *MESSAGE_COLUMNS)
"""The columns of a row, in this order."""
_TIME = COLUMNS.index("created_at")
_TABLE = f"{Message._meta.db_table} ({', '.join(COLUMNS)})"


def insert_messages(alias: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows whose values are those of COLUMNS; on PostgreSQL by one statement.

    Raises:
        IntegrityError: a row violates a constraint, for example because its message is stored already.
        DataError: a value is too long or out of range.
    """
    connection = connections[alias]
    if connection.vendor == "postgresql":
        _copy(connection, rows)
    else:
        _insert(connection, rows)


def _copy(connection: BaseDatabaseWrapper, rows: Iterable[tuple[Any, ...]]) -> None:
    """Insert by COPY, which takes a third of the time of an INSERT."""
    statement = f"COPY {_TABLE} FROM STDIN (FORMAT BINARY)"
    # Django converts the errors of a cursor's execute(), but not those of copy().
    with connection.cursor() as cursor, connection.wrap_database_errors, cursor.copy(statement) as copy:
        copy.set_types(_types(connection))
        for row in rows:
            copy.write_row(row)


def _types(connection: BaseDatabaseWrapper) -> list[str]:
    """The PostgreSQL types of the columns, without their lengths."""
    by_column = {field.column: field for field in Message._meta.concrete_fields}
    return [str(by_column[column].db_type(connection)).partition("(")[0] for column in COLUMNS]


def _insert(connection: BaseDatabaseWrapper, rows: Iterable[tuple[Any, ...]]) -> None:
    marks = ", ".join("%s" for _ in COLUMNS)
    time_of = connection.ops.adapt_datetimefield_value
    values = [
        (row[0], uuid_value(connection, row[1]), *row[2:_TIME], time_of(row[_TIME]), *row[_TIME + 1 :]) for row in rows
    ]
    with connection.cursor() as cursor:
        cursor.executemany(f"INSERT INTO {_TABLE} VALUES ({marks})", values)  # noqa: S608  # our own table


def batches(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """The items, BATCH_SIZE at a time."""
    return (items[start : start + BATCH_SIZE] for start in range(0, len(items), BATCH_SIZE))
