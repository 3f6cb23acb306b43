"""What goes wrong with the cache is counted, once each."""

from collections.abc import Callable

import pytest
from redis import Redis

from chat_memory import Message, metrics
from chat_memory.cache.breaker import FAILURES
from tests.cache.interleaving import Play
from tests.cache.scene import caching, chat, said, say, warmed
from tests.servers import Server

pytestmark = pytest.mark.django_db(transaction=True)


def counted(call: Callable[[], object]) -> dict[str, int]:
    """What a call adds to the totals."""
    before = metrics.totals()
    call()
    return {name: count - before[name] for name, count in metrics.totals().items() if count != before[name]}


def test_fill_that_something_newer_forbids(mode: str, client: Redis) -> None:
    play = Play(client, mode)
    play.chat().append(Message.user("old"))

    def overtake() -> None:
        play.chat().append(Message.user("new"))
        play.said()

    play.inner.between = overtake
    assert counted(play.said)["refused_fills"] == 1
    assert play.said() == ["old", "new"]


@pytest.mark.parametrize("write", [lambda: say("b"), lambda: chat().clear()], ids=["append", "clear"])
def test_write_that_redis_did_not_hear_of(cached: str, client: Redis, write: Callable[[], object]) -> None:
    warmed(client, "a")
    client.replicaof("127.0.0.1", 1)  # refuses writes
    try:
        assert counted(write) == {"lost_pushes": 1}
    finally:
        client.replicaof("no", "one")


def test_breaker_that_opens(mode: str, victim: Server) -> None:
    with caching(mode, victim.url):
        say("a")
        victim.process.kill()
        victim.process.wait()
        reads = FAILURES + 2
        assert counted(lambda: [said() for _ in range(reads)]) == {"bypasses": reads, "breaker_openings": 1}


def test_damaged_entry_is_a_miss(cached: str, client: Redis) -> None:
    key = warmed(client, "a")
    client.lset(key, 0, "{")
    found = counted(said)
    assert (found["misses"], found.get("hits")) == (1, None)
