"""Whole conversations in, and out for good, beside the one statement that moves the same rows."""

import json
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from unittest import mock

import psycopg
from django.db import connection

from chat_memory.fields import MESSAGE_COLUMNS
from chat_memory.maintenance.importing import import_conversations
from chat_memory.maintenance.retention import clean_up
from chat_memory.storage.orm import removal as exit_door
from tests.benchmarks.cases import Bench, Result
from tests.benchmarks.limit import role
from tests.benchmarks.measure import Ratio

CONVERSATIONS, LENGTH = 5_000, 20
ROUNDS = 5
WORDS = "the quick brown fox jumps over a lazy dog and then it asks what time it is "
BEGAN = datetime(2024, 1, 1, tzinfo=UTC)
COLUMNS = f"workspace_id, session_id, seq, turn, {', '.join(MESSAGE_COLUMNS)}"
OF_WORKSPACE = "workspace_id = (SELECT id FROM chat_memory_workspace WHERE slug = %s)"
ROWS = f"SELECT {COLUMNS} FROM chat_memory_message WHERE {OF_WORKSPACE} ORDER BY id"
# The best one statement that removes conversations with their messages.
REMOVAL = f"""
WITH gone AS (DELETE FROM chat_memory_session WHERE {OF_WORKSPACE} AND active_at < %s RETURNING id)
DELETE FROM chat_memory_message WHERE session_id IN (SELECT id FROM gone)"""


def transfer(bench: Bench) -> Iterator[Result]:
    """An import of 100,000 messages beside COPY of the rows it made, into the same table."""
    limit = _limit(bench)
    spent: tuple[list[float], list[float]] = ([], [])
    for _ in range(min(bench.rounds, ROUNDS)):
        slug = uuid.uuid4().hex
        lines = _lines(slug, CONVERSATIONS, LENGTH)
        spent[0].append(_seconds(partial(import_conversations, lines, slug)))
        cursor = limit.execute(ROWS, [slug], binary=True)
        types = [column.type_code for column in cursor.description or ()]
        rows = cursor.fetchall()
        limit.execute(f"DELETE FROM chat_memory_message WHERE {OF_WORKSPACE}", [slug])
        spent[1].append(_seconds(partial(_copy, limit, types, rows)))
        _empty(limit)
    yield Result("import of 100,000 messages, each / COPY of the rows", _each(spent, CONVERSATIONS * LENGTH), 5.0)


def removal(bench: Bench) -> Iterator[Result]:
    """A cleanup of 20,000 of 40,000 messages beside one DELETE."""
    limit = _limit(bench)
    spent: tuple[list[float], list[float]] = ([], [])
    # The suite's own app hangs tables on ours, which the one DELETE leaves alone too.
    ours = {model: each for model, each in exit_door._dependents.items() if model._meta.app_label == "chat_memory"}
    for _ in range(min(bench.rounds, ROUNDS)):
        slug = _half_expired()
        with mock.patch.object(exit_door, "_dependents", ours):
            spent[0].append(_seconds(partial(clean_up, 30, workspace=slug)))
        _empty(limit)
        slug = _half_expired()
        spent[1].append(_seconds(partial(limit.execute, REMOVAL, [slug, _days_ago(30)])))
        _empty(limit)
    yield Result("cleanup of 20,000 of 40,000 messages, each / one DELETE", _each(spent, 20_000), 1.4)


def _each(spent: tuple[list[float], list[float]], messages: int) -> Ratio:
    """The ratio of the rounds, with the time of one message."""
    ours, best = ([seconds / messages for seconds in times] for times in spent)
    return Ratio.of(ours, best)


def _limit(bench: Bench) -> psycopg.Connection:
    limit = psycopg.connect(bench.url, autocommit=True)
    bench.closing.callback(limit.close)
    return limit


def _lines(slug: str, conversations: int, length: int, began: datetime = BEGAN) -> list[bytes]:
    """Lines of our own format, their messages of some 300 bytes."""
    texts = [(WORDS * 5)[number : number + 300] for number in range(50)]
    return [
        json.dumps(
            {
                "key": f"{slug}-{number}",
                "messages": [
                    {
                        "id": f"{number}-{index}",
                        "created_at": (began + timedelta(minutes=index)).isoformat(),
                        "role": role(index),
                        "content": texts[(number + index) % len(texts)],
                    }
                    for index in range(length)
                ],
            }
        ).encode()
        for number in range(conversations)
    ]


def _half_expired() -> str:
    """A workspace of 40,000 messages of which half are older than a month, by turns."""
    slug = uuid.uuid4().hex
    old, new = (_lines(f"{slug}-{days}", 20_000 // LENGTH, LENGTH, _days_ago(days)) for days in (60, 1))
    import_conversations([line for pair in zip(old, new, strict=True) for line in pair], slug)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE chat_memory_session, chat_memory_message")
    return slug


def _days_ago(days: int) -> datetime:
    return datetime.now(UTC) - timedelta(days=days)


def _copy(limit: psycopg.Connection, types: list[int], rows: list[tuple[object, ...]]) -> None:
    statement = f"COPY chat_memory_message ({COLUMNS}) FROM STDIN (FORMAT BINARY)"
    with limit.cursor() as cursor, cursor.copy(statement) as copy:
        copy.set_types(types)
        for row in rows:
            copy.write_row(row)


def _empty(limit: psycopg.Connection) -> None:
    """Begin each round with the same tables."""
    limit.execute("TRUNCATE chat_memory_session CASCADE")
    limit.execute("VACUUM ANALYZE chat_memory_message")


def _seconds(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin
