"""Redis down, slow or refusing: reads and appends go on, one line says why, and the breaker spares the wait."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from redis import Redis

from chat_memory import wiring
from chat_memory.cache.breaker import FAILURES
from tests.cache.scene import HIT, caching, chat, said, say, statements
from tests.servers import Server, start_redis
from tests.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)


def kill(server: Server, client: Redis) -> None:
    server.process.kill()
    server.process.wait()


def make_replica(server: Server, client: Redis) -> None:
    client.replicaof("127.0.0.1", 1)


def fill_up(server: Server, client: Redis) -> None:
    client.config_set("maxmemory", "1mb")
    client.config_set("maxmemory-policy", "noeviction")


def forbid_scripts(server: Server, client: Redis) -> None:
    client.execute_command("ACL", "SETUSER", "default", "-eval", "-evalsha")


def change_password(server: Server, client: Redis) -> None:
    client.config_set("requirepass", "another")
    client.client_kill_filter(skipme=True, _type="normal")


FAULTS: dict[str, tuple[Callable[[Server, Redis], None], str]] = {
    "down": (kill, "ConnectionError"),
    "read-only": (make_replica, "ReadOnlyError"),
    "out of memory": (fill_up, "OutOfMemoryError"),
    "without EVAL": (forbid_scripts, "NoPermissionError"),
    "wrong password": (change_password, "AuthenticationError"),
}


def goes_on(times: int = 6) -> None:
    """Appends and reads of every kind, each as right as without Redis."""
    expected = said()
    for number in range(times):
        version = say(str(number))
        expected.append(str(number))
        read = chat().tail(20, min_version=version)
        assert [message.content for message in read] == expected
        assert [message.content for message in chat().messages(min_version=version)] == expected
        assert chat().tail_json(20, min_version=version).count(b'"role":"user"') == len(expected)
    chat().update(title="renamed")
    chat().clear()


@contextmanager
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """What is logged about the cache."""
    caplog.clear()
    said_so: list[str] = []
    with caplog.at_level(logging.DEBUG, logger="chat_memory.cache"):
        yield said_so
    said_so += [record.getMessage() for record in caplog.records if record.name == "chat_memory.cache"]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("warm", [True, False])
def test_fault_costs_no_answer_and_one_line(
    mode: str, victim: Server, caplog: pytest.LogCaptureFixture, fault: str, warm: bool
) -> None:
    """FEATURES R15: whether it comes while the cache is in use or is there from the start."""
    inflict, trouble = FAULTS[fault]
    with Redis.from_url(victim.url) as client, caching(mode, victim.url):
        if warm:
            say("before")
            said()
        inflict(victim, client)
        with lines(caplog) as logged:
            goes_on()
    assert [line.rpartition(": ")[2] for line in logged] == [trouble]


def test_loading_redis_costs_no_answer_and_one_line(
    mode: str, victim: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """A dump that takes long to load, here a primary's: Redis answers LOADING, which is as good as no answer."""
    slow = ("--key-load-delay", "8000", "--loading-process-events-interval-bytes", "1024")
    with start_redis(*slow) as server, Redis.from_url(server.url) as client, Redis.from_url(victim.url) as primary:
        primary.config_set("repl-diskless-sync-delay", "0")
        primary.config_set("rdbcompression", "no")
        primary.eval("for n = 1, 5000 do redis.call('SET', n, string.rep('x', 2000)) end", 0)
        client.replicaof("127.0.0.1", victim.port)
        eventually(lambda: client.info("persistence")["loading"])
        with caching(mode, server.url), lines(caplog) as logged:
            goes_on()
        assert client.info("persistence")["loading"]
    assert [line.rpartition(": ")[2] for line in logged] == ["BusyLoadingError"]


def test_frozen_redis_costs_no_answer_and_is_left_alone(
    mode: str, victim: Server, frozen: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """After the first few calls none waits for it any more; how long the others do, the benchmarks measure."""
    with caching(mode, victim.url):
        say("before")
        said()
        breaker = wiring.cache_client().breaker
        with frozen(victim), lines(caplog) as logged:
            for _ in range(FAILURES):
                assert not breaker.is_open
                assert said() == ["before"]
            assert breaker.is_open
            assert len(statements(said)) == 1
            goes_on()
        assert breaker.openings == 1
    assert [line.rpartition(": ")[2] for line in logged] == ["TimeoutError"]


def test_cache_is_used_again_after_an_outage(
    mode: str, victim: Server, frozen: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with Redis.from_url(victim.url) as client, caching(mode, victim.url):
        say("a")
        with frozen(victim):
            for _ in range(FAILURES):
                said()
        breaker = wiring.cache_client().breaker
        with lines(caplog) as logged:
            eventually(lambda: said() and not breaker.is_open)  # at most as long as it stays open the first time
        said()
        assert client.dbsize() == 1
    assert logged == ["chat_memory has its cache again"]


def test_pool_without_a_connection_left_says_nothing_of_redis(
    mode: str, shared_server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """A miss for who came too late; the breaker stays closed, and the others go on."""
    with caching(mode, shared_server.url, {"CONNECTION_POOL_KWARGS": {"max_connections": 1}}), lines(caplog) as logged:
        say("a")
        pool = wiring.cache_client().redis.connection_pool
        held = pool.get_connection()
        assert [said() for _ in range(FAILURES + 1)] == [["a"]] * (FAILURES + 1)
        assert not wiring.cache_client().breaker.is_open
        pool.release(held)
        said()
        assert len(statements(said)) == HIT[mode]
    assert [line.rpartition(": ")[2] for line in logged] == ["MaxConnectionsError"]


def test_refusals_do_not_open_the_breaker(mode: str, victim: Server) -> None:
    """What answers is there: one odd key, or one forbidden command, must not switch the cache off."""
    with Redis.from_url(victim.url) as client, caching(mode, victim.url):
        forbid_scripts(victim, client)
        goes_on(FAILURES * 2)
        assert not wiring.cache_client().breaker.is_open


def test_each_kind_of_trouble_has_its_line(mode: str, victim: Server, caplog: pytest.LogCaptureFixture) -> None:
    with Redis.from_url(victim.url) as client, caching(mode, victim.url), lines(caplog) as logged:
        for inflict in (make_replica, forbid_scripts, make_replica):
            inflict(victim, client)
            say("a")
            said()
    assert [line.rpartition(": ")[2] for line in logged] == ["ReadOnlyError", "NoPermissionError"]


def test_log_never_has_a_key_or_a_message(victim: Server, caplog: pytest.LogCaptureFixture) -> None:
    with Redis.from_url(victim.url) as client, caching("strict", victim.url), lines(caplog) as logged:
        say("a secret")
        said()
        (key,) = client.keys()
        client.delete(key)
        client.set(key, "secret too")
        said()
    assert len(logged) == 1
    assert "secret" not in logged[0]
    assert key.decode() not in logged[0]
