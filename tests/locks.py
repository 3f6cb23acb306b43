"""Holds locks from a connection of its own, so that whatever wants them has to wait."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import connection

ROW = "SELECT 1 FROM chat_memory_session WHERE key = %s FOR UPDATE"
"""Locks the rows of a conversation."""
TABLE = "LOCK TABLE chat_memory_session"
"""Lets nobody read or write sessions."""


@contextmanager
def another_connection() -> Iterator[psycopg.Connection[Any]]:
    """One to the PostgreSQL database of the test; what it has not committed in the end is undone."""
    other = psycopg.connect(**connection.get_connection_params())
    try:
        yield other
    finally:
        other.rollback()
        other.close()


@contextmanager
def locked_by_another(sql: str = ROW, *values: Any) -> Iterator[psycopg.Connection[Any]]:
    """Within it the locks of a statement are held, those of the conversation "k" where none is given."""
    with another_connection() as other:
        other.execute(sql, values or (("k",) if sql == ROW else None))
        yield other
