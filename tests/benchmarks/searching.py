"""A search of many messages beside reading them all, and an append with the sub-app beside one without its index."""

import random
from collections.abc import Iterator
from functools import partial

from django.apps import apps
from django.db import connection

from chat_memory import Message, conversation
from chat_memory.models import Message as MessageRow, Workspace
from chat_memory.sessions import search as find
from chat_memory.storage.orm import beside
from tests.benchmarks.cases import Bench, Result, installed

MESSAGES, EACH = 200_000, 100
WORDS, VOCABULARY = 20, 5_000
RARE, COMMON = "quartz", "bread"
"""One in 2,000 messages, and one in 50."""
FASTER, SLOWER = 1 / 20, 2.0
SLUG = "search"
_random = random.Random(11)


def search(bench: Bench) -> Iterator[Result]:
    """The sub-app is installed for these figures alone, and its tables are made for them."""
    with installed("chat_memory.search"):
        written = beside._registered[:]
        try:
            yield from _found(bench)
            yield from _appended(bench, written)
        finally:
            _install([])
    assert not apps.is_installed("chat_memory.search")


def _found(bench: Bench) -> Iterator[Result]:
    """Beside ILIKE over the same messages, which finds no more of them."""
    number = _filled()
    for word, name in ((RARE, "1 of 2,000 messages"), (COMMON, "1 of 50 messages")):
        ours = partial(find, word, SLUG)
        assert ours().results
        what = f"search of {MESSAGES:,} messages for a word of {name}, beside ILIKE"
        yield bench.compare(what, FASTER, ours, partial(_read_all, number, word), 1)


def _appended(bench: Bench, written: list[beside.Beside]) -> Iterator[Result]:
    """The same append by turns, with what the sub-app writes beside messages and without."""
    for size in (1, 2, 100):
        ours, plain = partial(_append, size, written), partial(_append, size, [])
        what = f"append {size} with the search app, beside without"
        yield bench.compare(what, SLOWER, ours, plain, 10 if size == 100 else 60)


def _append(size: int, written: list[beside.Beside]) -> None:
    _install(written)
    conversation("appended", workspace=SLUG).append(*(Message.user(_text()) for _number in range(size)))


def _install(written: list[beside.Beside]) -> None:
    """Have this written beside messages."""
    beside._registered[:] = written


def _filled() -> int:
    """A workspace of so many messages, as the sub-app indexes them; its number."""
    chats = MESSAGES // EACH
    for start in range(chats):
        conversation(f"c{start}", workspace=SLUG).append(*(Message.user(_text()) for _number in range(EACH)))
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    assert MessageRow.objects.filter(workspace__slug=SLUG).count() == MESSAGES
    return Workspace.objects.get(slug=SLUG).pk


def _text() -> str:
    words = [f"word{int(_random.paretovariate(1)) % VOCABULARY}" for _number in range(WORDS)]
    words += [RARE] * (_random.random() < 1 / 2_000) + [COMMON] * (_random.random() < 1 / 50)
    return " ".join(words)


def _read_all(number: int, word: str) -> None:
    """In which conversations the word is, and how often."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT session_id, COUNT(*), MAX(seq) FROM chat_memory_message "
            "WHERE workspace_id = %s AND content ILIKE %s GROUP BY session_id",
            [number, f"%{word}%"],
        )
        cursor.fetchall()
