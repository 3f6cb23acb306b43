"""Owns the removal of deleted words from SQLite's FTS5 index; PostgreSQL keeps words only in rows."""

from __future__ import annotations

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from chat_memory.search.statements import FTS

SECURE_DELETE = (3, 42)
"""From this release of SQLite on, FTS5 can delete words at once; older ones keep them until the index is merged."""


def deletes_securely(connection: BaseDatabaseWrapper) -> bool:
    """Whether this SQLite can delete the words of an entry."""
    return bool(connection.Database.sqlite_version_info >= SECURE_DELETE)  # type: ignore[attr-defined]


def purge(alias: str) -> None:
    """Remove the words that FTS5 still has of entries that were deleted or changed in this transaction.

    With the option ``secure-delete`` FTS5 leaves none. The option is stored in the index, so it is set here if an older
    release of SQLite created the index.
    """
    connection = connections[alias]
    if connection.vendor != "sqlite":
        return
    with connection.cursor() as cursor:
        if deletes_securely(connection):
            cursor.execute(f"SELECT 1 FROM {FTS}_config WHERE k = 'secure-delete' AND v = 1")  # noqa: S608  # our table
            if cursor.fetchone():
                return
            cursor.execute(f"INSERT INTO {FTS} ({FTS}, rank) VALUES ('secure-delete', 1)")  # noqa: S608
        cursor.execute(f"INSERT INTO {FTS} ({FTS}) VALUES ('optimize')")  # noqa: S608
