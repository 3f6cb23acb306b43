"""What goes wrong with the cache is counted, once each."""

from collections.abc import Callable

import pytest
from redis import Redis

from chat_memory import Message
from chat_memory.cache.breaker import FAILURES
from tests.cache.caching import caching, counts_of, newest_texts, warmed
from tests.cache.held_adapter import CachedMemory
from tests.conversations import chat, say
from tests.servers import Server

pytestmark = pytest.mark.django_db(transaction=True)


def test_fill_that_something_newer_forbids(each_mode: str, client: Redis) -> None:
    memory = CachedMemory(client, each_mode)
    memory.chat().append(Message.user("old"))

    def overtake() -> None:
        memory.chat().append(Message.user("new"))
        memory.newest_texts()

    memory.between(overtake)
    assert counts_of(memory.newest_texts)["refused_fills"] == 1
    assert memory.newest_texts() == ["old", "new"]


@pytest.mark.parametrize("write", [lambda: say("b"), lambda: chat().clear()], ids=["append", "clear"])
def test_write_that_redis_did_not_hear_of(cached: str, client: Redis, write: Callable[[], object]) -> None:
    warmed(client, "a")
    client.replicaof("127.0.0.1", 1)  # refuses writes
    try:
        assert counts_of(write) == {"lost_pushes": 1}
    finally:
        client.replicaof("no", "one")


def test_breaker_that_opens(each_mode: str, victim: Server) -> None:
    with caching(each_mode, victim.url):
        say("a")
        victim.process.kill()
        victim.process.wait()
        reads = FAILURES + 2
        assert counts_of(lambda: [newest_texts() for _ in range(reads)]) == {"bypasses": reads, "breaker_openings": 1}


def test_damaged_entry_is_a_miss(cached: str, client: Redis) -> None:
    key = warmed(client, "a")
    client.lset(key, 0, "{")
    found = counts_of(newest_texts)
    assert (found["misses"], found.get("hits")) == (1, None)
