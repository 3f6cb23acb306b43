"""Waits for what another process or thread brings about: never for a fixed time, and never for ever."""

import threading
import time
from collections.abc import Callable

from django.db import connection

PATIENCE = 60.0


def eventually(holds: Callable[[], object], patience: float = PATIENCE) -> None:
    """Ask until it holds."""
    deadline = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < deadline, "it never came true"


def until_threads_end(name: str) -> None:
    """Wait for all threads of that name."""
    for thread in threading.enumerate():
        if thread.name == name:
            thread.join(PATIENCE)
            assert not thread.is_alive(), f"a thread {name} never ended"


def somebody_waits_for_a_lock() -> bool:
    """Whether another connection to this PostgreSQL database stands before a lock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")  # within a transaction the answer would stay as it is
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return bool(cursor.fetchone()[0])


def places_taken() -> int:
    """How many requests wait in a place of a conversation, in this test's own database: the server has others."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        return int(cursor.fetchone()[0])
