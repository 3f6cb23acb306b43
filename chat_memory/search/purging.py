"""Owns that nothing of a removed text is left in the index of SQLite; PostgreSQL has its words in rows alone."""

from __future__ import annotations

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from chat_memory.search.statements import FTS

SECURE_DELETE = (3, 42)
"""From this release of SQLite on FTS5 deletes words themselves; an older one keeps them until the index is merged."""


def deletes_securely(connection: BaseDatabaseWrapper) -> bool:
    """Whether this SQLite can delete the words of an entry."""
    return bool(connection.Database.sqlite_version_info >= SECURE_DELETE)  # type: ignore[attr-defined]


def purge(alias: str) -> None:
    """Remove what FTS5 still has of entries that were deleted or changed in this transaction.

    Where FTS5 deletes words itself there is nothing left, unless an older release of SQLite has made the index: the
    option is stored with it.
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
