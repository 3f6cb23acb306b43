"""The messages most like a text among many: by pgvector beside numpy, which is what a database without it has."""

import random
from collections.abc import Iterator
from functools import partial

from django.db import connections

from chat_memory import Message, conversation
from chat_memory.vectors import HashingEmbedder, comparing
from tests.benchmarks.cases import Bench, Result, installed

MESSAGES, DIMENSIONS = 10_000, 384
GOAL = 1.0
SLUG, KEY = "relevance", "long"
_random = random.Random(13)


def relevance(bench: Bench) -> Iterator[Result]:
    """The sub-app is installed for this figure alone; where the server has no pgvector there is nothing to compare."""
    with installed("chat_memory.vectors"):
        if not comparing.by_pgvector(connections["default"]):
            return
        embedder = HashingEmbedder(DIMENSIONS)
        chat = conversation(KEY, workspace=SLUG)
        for _batch in range(MESSAGES // 1_000):
            chat.append(*(Message.user(_text()) for _number in range(1_000)))
        chat.relevant("word1 word2", 10, embedder)
        with connections["default"].cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")
        ask = partial(_ask, embedder)
        name = f"the 10 of {MESSAGES:,} messages most like a text, {DIMENSIONS} numbers each, by pgvector / by numpy"
        yield bench.compare(name, GOAL, ask, partial(_by_numpy, ask), 1)


def _ask(embedder: HashingEmbedder) -> list[int | None]:
    found = conversation(KEY, workspace=SLUG).relevant("word1 word2", 10, embedder)
    return [each.message.seq for each in found]


def _by_numpy(ask: partial[list[int | None]]) -> None:
    """The same as on a database that does not know the extension."""
    knows = comparing.by_pgvector
    comparing.by_pgvector = lambda connection: False
    try:
        ask()
    finally:
        comparing.by_pgvector = knows


def _text() -> str:
    return " ".join(f"word{int(_random.paretovariate(1)) % 5_000}" for _number in range(20))
