"""What the cache costs and saves, beside one RPUSH, or one LRANGE whose entries are decoded into messages."""

import os
from collections.abc import Iterator
from functools import partial
from typing import Any

import msgspec
from redis import Redis

from chat_memory import Message, conversation
from chat_memory.storage.contract import Adapter
from chat_memory.storage.mapping import to_json
from chat_memory.storage.orm import DjangoAdapter
from tests.benchmarks.cases import WORKSPACE, Bench, Result, configured
from tests.benchmarks.limit import Limit, text

GOAL_WRITE, GOAL_READ, GOAL_BYTES = 1.5, 1.3, 0.9
LONG = 600
"""CACHE_MAX_AGE while warm reads are measured, in seconds."""

_decode = msgspec.json.Decoder(list[Message]).decode


class RedisLimit:
    """The same messages in a list of our own making, and nothing that tells whether they are right."""

    def __init__(self, redis: Redis, database: Limit, messages: list[Message]) -> None:
        self._redis = redis
        self._database = database
        self._written = to_json(Message.user(text(), id="limit", seq=1))
        redis.delete("limit", "limit-written")
        redis.rpush("limit", *map(to_json, messages))

    def tail(self) -> list[Message]:
        entries: Any = self._redis.lrange("limit", -20, -1)
        return _decode(b"[" + b",".join(entries) + b"]")

    def row_and_tail(self) -> list[Message]:
        self._database.row()
        return self.tail()

    def append(self) -> None:
        self._database.append_one()
        self._redis.rpush("limit-written", self._written)


def cache(bench: Bench) -> Iterator[Result]:
    """Warm, a fresh handle per call; the limit talks to the same Redis through the same client library."""
    key, database = bench.session(1000)
    redis = Redis.from_url(os.environ["REDIS_URL"])
    bench.closing.callback(redis.close)
    limit = RedisLimit(redis, database, conversation(key, workspace=WORKSPACE).tail(50))
    plain = DjangoAdapter()
    compare = partial(bench.compare, calls=100)
    for mode, best in (("strict", limit.row_and_tail), ("bounded", limit.tail)):
        with configured(CACHE=mode, CACHE_MAX_AGE=LONG):
            conversation(key, workspace=WORKSPACE).tail(20)
            yield compare(f"{mode}: append one, written through", GOAL_WRITE, partial(_append, key), limit.append)
            yield compare(f"{mode}: warm last 20", GOAL_READ, partial(_tail, key), best)
            uncached = partial(_tail, key, plain)
            yield compare(f"{mode}: warm last 20 / from the database", None, partial(_tail, key), uncached)
            yield compare(f"{mode}: as bytes / as messages", None, partial(_bytes, key), partial(_tail, key))
            yield compare(f"{mode}: as bytes / encoded again", GOAL_BYTES, partial(_bytes, key), partial(_encoded, key))


def _append(key: str) -> None:
    conversation(key, workspace=WORKSPACE).append(Message.user(text()))


def _tail(key: str, adapter: Adapter | None = None) -> list[Message]:
    return conversation(key, workspace=WORKSPACE, adapter=adapter).tail(20)


def _bytes(key: str) -> bytes:
    return conversation(key, workspace=WORKSPACE).tail_json(20)


def _encoded(key: str) -> bytes:
    return to_json(_tail(key))
