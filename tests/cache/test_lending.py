"""A connection that is lent while the database works: to few, from those who can spare it, and never mixed up."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection
from redis import Redis

from chat_memory import Message, conversation, wiring
from chat_memory.cache import connecting
from chat_memory.cache.breaker import FAILURES
from chat_memory.cache.client import CacheClient
from tests.cache.caching import HIT, caching, counts_of, key_of, newest_texts, statements
from tests.conversations import chat, say
from tests.servers import Server

pytestmark = pytest.mark.django_db(transaction=True)

PLACES: list[int] = []
"""The port the factory below connects to."""


class Prefixed(Redis):
    """A host's own class, which keeps its keys apart from those of others."""

    def execute_command(self, *words: Any, **options: Any) -> Any:
        place = {"EVALSHA": 3, "EVAL": 3}.get(words[0], 1)
        return super().execute_command(*words[:place], f"host:{words[place]}", *words[place + 1 :], **options)


class TimeIsUp(Exception):
    """What a task queue raises in the middle of whatever runs."""


class Interrupted(Redis):
    """One in whose commands that happens."""

    def execute_command(self, *_words: Any, **_options: Any) -> Any:
        raise TimeIsUp


def interrupted() -> Redis:
    return Interrupted(port=PLACES[-1])


def prefixed() -> Redis:
    return Prefixed(port=PLACES[-1], socket_timeout=connecting.TIMEOUT)


def of_another() -> list[object]:
    """What is read of a second conversation."""
    return [message.content for message in conversation("other", workspace="acme").tail(20)]


@contextmanager
def before_each_statement(call: Callable[[], object]) -> Iterator[None]:
    """Something else that needs Redis while the database is asked, as a router or a log handler of the host might."""
    busy = False

    def wrapper(execute: Any, *statement: Any) -> Any:
        nonlocal busy
        if not busy:
            busy = True
            try:
                call()
            finally:
                busy = False
        return execute(*statement)

    with connection.execute_wrapper(wrapper):
        yield


POOLS = [
    {"CONNECTION_POOL_CLASS": f"redis.{pool}", "CONNECTION_POOL_KWARGS": {"max_connections": size}}
    for pool in ("ConnectionPool", "BlockingConnectionPool")
    for size in (1, 2, 3, 100)
]


@pytest.mark.parametrize("pool", POOLS, ids=str)
def test_read_within_a_read_finds_a_connection(
    each_mode: str, client: Redis, shared_server: Server, caplog: pytest.LogCaptureFixture, pool: dict[str, Any]
) -> None:
    """However small the pool: nobody waits for who waits for the database, and no breaker opens."""
    with caching(each_mode, shared_server.url, pool):
        say("a")
        newest_texts()
        conversation("other", workspace="acme").append(Message.user("b"))
        of_another()
        inner: list[object] = []
        with before_each_statement(lambda: inner.append(of_another())):
            found = counts_of(lambda: inner.append(newest_texts()))
        assert inner == {"strict": [["b"], ["a"]], "bounded": [["a"]]}[each_mode]
        assert found == {"hits": len(inner)}
    assert caplog.records == []


def test_pool_that_waits_does_so_no_longer_than_redis(shared_server: Server) -> None:
    with caching("strict", shared_server.url, {"CONNECTION_POOL_CLASS": "redis.BlockingConnectionPool"}):
        pool: Any = wiring.cache_client().redis.connection_pool
        assert pool.timeout == connecting.TIMEOUT


def test_class_of_the_host_sees_every_command(shared_server: Server, client: Redis, each_mode: str) -> None:
    PLACES.append(shared_server.port)
    with caching(each_mode, "redis://127.0.0.1:1/0", REDIS_CLIENT=f"{__name__}.prefixed"):
        say("a")
        newest_texts()
        assert key_of(client).startswith("host:cm:")
        assert len(statements(newest_texts)) == HIT[each_mode]


def test_time_limit_of_the_host_is_no_trouble_of_redis(shared_server: Server, each_mode: str) -> None:
    PLACES.append(shared_server.port)
    say("a")
    given = caching(each_mode, "redis://127.0.0.1:1/0", REDIS_CLIENT=f"{__name__}.interrupted")
    with given, pytest.raises(TimeIsUp):
        newest_texts()


def test_answer_from_before_the_trouble_does_not_end_it(shared_server: Server) -> None:
    """It was under way when the breaker opened, and came all the same."""
    with Redis.from_url(shared_server.url) as redis:
        client = CacheClient(lambda: redis)

        def fails() -> None:
            for _ in range(FAILURES):
                client.breaker.failed()

        client.newest_while("cm:{lent}", 1, fails)
        assert client.breaker.is_open


def test_lent_connections_come_back(shared_server: Server, client: Redis) -> None:
    """Of many reads that end in every way, none keeps one."""
    with caching("strict", shared_server.url, {"CONNECTION_POOL_KWARGS": {"max_connections": 4}}):
        say("a")
        newest_texts()
        for trouble in (OSError, KeyboardInterrupt, GeneratorExit):
            for _ in range(3):
                with before_each_statement(_raising(trouble)), pytest.raises(trouble):
                    newest_texts()
        assert len(wiring.cache_client().redis.connection_pool._in_use_connections) == 0
        assert (newest_texts(), len(statements(newest_texts))) == (["a"], HIT["strict"])
        assert chat().tail(1)[0].content == "a"


def _raising(trouble: type[BaseException]) -> Callable[[], None]:
    def call() -> None:
        raise trouble

    return call
