"""What appends leave behind: heap-only updates of the session row, bytes on disk, bytes in the log."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db import connection

from chat_memory import Message, conversation
from tests.benchmarks.cases import Bench

CONVERSATIONS = 20
APPENDS = 1_000
SIZE = 1_024
_random = random.Random(7)


@dataclass(frozen=True)
class Share:
    """One row of the table that is no time: a share or a ratio, and what it may be."""

    name: str
    value: float
    goal: str

    @property
    def row(self) -> str:
        """The line of the table."""
        return f"| {self.name} | {self.value:.2f} | | {self.goal} | | |"


def stored(bench: Bench) -> Iterator[Share]:
    """A thousand one-message appends of 1 KB to each of twenty conversations, round about."""
    del bench  # there is nothing to repeat: the same appends leave the same bytes
    for number in range(CONVERSATIONS):
        _append(number, "begin")
    _run("VACUUM ANALYZE")
    _run("CHECKPOINT")
    for number in range(CONVERSATIONS):
        _append(number, "the first after a checkpoint writes whole pages to the log")
    size, updates, log = _size(), _updates(), _one("SELECT pg_current_wal_insert_lsn()")
    raw = 0
    for _ in range(APPENDS):
        for number in range(CONVERSATIONS):
            raw += SIZE
            _append(number, "".join(_random.choices("abcdefghijklmnopqrstuvwxyz", k=SIZE)))
    written = _one(f"SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '{log}')")
    done = [after - before for before, after in zip(updates, _updates(), strict=True)]
    yield Share("heap-only updates of a session row", done[1] / done[0], "≥ 0.95")
    yield Share("bytes on disk / text of 1 KB", (_size() - size) / raw, "≤ 1.25")
    yield Share("bytes in the log / text of 1 KB", float(written) / raw, "≤ 1.9")


def _append(number: int, text: str) -> None:
    conversation(f"stored-{number}", workspace="stored").append(Message.user(text))


def _size() -> int:
    tables = "pg_total_relation_size('chat_memory_message') + pg_total_relation_size('chat_memory_session')"
    return int(_one(f"SELECT {tables}"))


def _updates() -> list[int]:
    _run("SELECT pg_stat_force_next_flush()")
    _run("SELECT 1")
    columns = "n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'chat_memory_session'"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {columns}")
        return list(cursor.fetchone())


def _one(sql: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        (value,) = cursor.fetchone()
    return value


def _run(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)
