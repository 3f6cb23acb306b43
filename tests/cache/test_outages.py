"""Redis down, slow or refusing: reads and appends go on, one line says why, and the breaker spares the wait."""

import gc
import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from redis import Redis

from chat_memory import wiring
from chat_memory.cache import deadline
from chat_memory.cache.breaker import FAILURES
from chat_memory.cache.client import Unavailable
from chat_memory.health import health
from tests.cache.caching import HIT, caching, newest_texts, statements
from tests.conversations import chat, say
from tests.integration.outages import SLACK, frozen
from tests.integration.trickle import trickling
from tests.patience import waiting
from tests.servers import Server, start_redis
from tests.waiting import eventually

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgresql]


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


AGAIN = "chat_memory uses its cache again"
FAULTS: dict[str, tuple[Callable[[Server, Redis], None], str]] = {
    "down": (kill, "ConnectionError"),
    "read-only": (make_replica, "ReadOnlyError"),
    "out of memory": (fill_up, "OutOfMemoryError"),
    "without EVAL": (forbid_scripts, "NoPermissionError"),
    "wrong password": (change_password, "AuthenticationError"),
}


def goes_on(times: int = 6) -> None:
    """Appends and reads of every kind, each as right as without Redis."""
    expected = newest_texts()
    for number in range(times):
        version = say(str(number))
        expected.append(str(number))
        read = chat().tail(20, min_version=version)
        assert [message.content for message in read] == expected
        assert [message.content for message in chat().messages(min_version=version)] == expected
        assert chat().tail_json(20, min_version=version).count(b'"role":"user"') == len(expected)
    chat().update(title="renamed")
    chat().clear()


def assert_one_line_each(logged: list[str], trouble: str, *others: str) -> None:
    """The trouble has its line, others may have theirs, and none has two before the cache is used again."""
    spans: list[list[str]] = [[]]
    for line in logged:
        if line == AGAIN:
            spans.append([])
        else:
            spans[-1].append(line.rpartition(": ")[2])
    assert trouble in spans[0]
    assert [span for span in spans if len(set(span)) != len(span)] == []
    assert {kind for span in spans for kind in span} <= {trouble, *others}


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
    each_mode: str, victim: Server, caplog: pytest.LogCaptureFixture, fault: str, warm: bool
) -> None:
    """FEATURES R15: whether it comes while the cache is in use or is there from the start."""
    inflict, trouble = FAULTS[fault]
    with Redis.from_url(victim.url) as client, caching(each_mode, victim.url):
        if warm:
            say("before")
            newest_texts()
        inflict(victim, client)
        with lines(caplog) as logged:
            goes_on()
    # A Redis that refuses what it was sent may close the connection before anybody has read why.
    assert_one_line_each(logged, trouble, "ConnectionError")


def test_loading_redis_costs_no_answer_and_one_line(
    each_mode: str, victim: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """A dump that takes long to load, here a primary's: Redis answers LOADING, which is as good as no answer."""
    slow = ("--key-load-delay", "20000", "--loading-process-events-interval-bytes", "1024")
    with start_redis(*slow) as server, Redis.from_url(server.url) as client, Redis.from_url(victim.url) as primary:
        primary.config_set("repl-diskless-sync-delay", "0")
        primary.config_set("rdbcompression", "no")
        primary.eval("for n = 1, 5000 do redis.call('SET', n, string.rep('x', 2000)) end", 0)
        client.replicaof("127.0.0.1", victim.port)
        eventually(lambda: client.info("persistence")["loading"])
        with caching(each_mode, server.url), lines(caplog) as logged:
            goes_on()
    assert_one_line_each(logged, "BusyLoadingError", "ReadOnlyError")  # of a replica that is through with a part


def test_frozen_redis_costs_no_answer_and_is_left_alone(
    each_mode: str, victim: Server, caplog: pytest.LogCaptureFixture, impatient: None
) -> None:
    """After the first few calls none waits for it any more; how long the others do, the benchmarks measure."""
    with caching(each_mode, victim.url):
        say("before")
        newest_texts()
        breaker = wiring.cache_client().breaker
        with frozen(victim), lines(caplog) as logged:
            for _ in range(FAILURES):
                assert not breaker.is_open
                assert newest_texts() == ["before"]
            assert breaker.is_open
            assert len(statements(newest_texts)) == 1
            goes_on()
        assert breaker.openings == 1
    assert [line.rpartition(": ")[2] for line in logged] == ["TimeoutError"]


def test_d1_an_answer_that_trickles_is_no_answer(
    each_mode: str, victim: Server, caplog: pytest.LogCaptureFixture, impatient: None
) -> None:
    """Each packet comes in time and the whole would take seconds: the wait is bounded, and counts as a failure."""
    with caching(each_mode, victim.url):
        say("x" * 10_000)
        newest_texts()
    with trickling(victim.port) as port, caching(each_mode, f"redis://127.0.0.1:{port}/0"), lines(caplog) as logged:
        client = wiring.cache_client()
        began = time.monotonic()
        assert [len(text) for text in newest_texts()] == [10_000]
        assert time.monotonic() - began < SLACK  # packet by packet, it would take 4.7 s
        for _ in range(FAILURES):
            assert [len(text) for text in newest_texts()] == [10_000]
        assert client.breaker.is_open
        goes_on()
    # A short answer comes in one piece, and shows for as long as that that Redis is there.
    assert {line.rpartition(": ")[2] for line in logged} - {AGAIN} == {"TimeoutError"}


CALLS: dict[str, Callable[[], object]] = {
    "a read": newest_texts,
    "a read of all": lambda: chat().messages(),
    "an append": lambda: say("more"),
    "an edit": lambda: chat().edit(1, "other words"),
    "a removal": lambda: chat().delete(),
    "the health": health,
}


@pytest.mark.parametrize("connected", [True, False], ids=["connected", "still to connect"])
@pytest.mark.parametrize("call", CALLS)
def test_d1_every_call_has_a_deadline(victim: Server, call: str, connected: bool) -> None:
    """Each byte comes in time; even the shortest answer, or the greeting before it, takes longer than all may."""
    begun = threading.Event()
    with (
        trickling(victim.port, 1, 0.2, begun=begun) as port,
        waiting(0.3),
        caching("bounded", f"redis://127.0.0.1:{port}/3"),
    ):
        say("x" * 10_000)
        newest_texts()
        client = wiring.cache_client()
        if not connected:
            client.redis.connection_pool.disconnect()
        client.breaker.succeeded()
        begun.set()
        began = time.monotonic()
        CALLS[call]()
        assert time.monotonic() - began < SLACK
        assert client.breaker._failures


def test_d1_connecting_and_the_first_command_have_one_deadline(victim: Server, monkeypatch) -> None:
    """The greeting has several answers, each of which would be in time."""
    monkeypatch.setattr(deadline, "CONNECTING", 1)
    with (
        trickling(victim.port, 1, 0.12) as port,
        waiting(1.0),
        caching("strict", f"redis://127.0.0.1:{port}/3"),
        pytest.raises(Unavailable, match="TimeoutError"),
    ):
        wiring.cache_client().ping()


def test_cache_is_used_again_after_an_outage(
    each_mode: str, victim: Server, caplog: pytest.LogCaptureFixture, impatient: None
) -> None:
    with Redis.from_url(victim.url) as client, caching(each_mode, victim.url):
        say("a")
        with frozen(victim):
            for _ in range(FAILURES):
                newest_texts()
        breaker = wiring.cache_client().breaker
        with lines(caplog) as logged:
            eventually(
                lambda: newest_texts() and not breaker.is_open
            )  # at most as long as it stays open the first time
        newest_texts()
        assert client.dbsize() == 1
    assert logged == [AGAIN]


def test_pool_without_a_connection_left_says_nothing_of_redis(
    each_mode: str, shared_server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """A miss for who came too late; the breaker stays closed, and the others go on."""
    with (
        caching(each_mode, shared_server.url, {"CONNECTION_POOL_KWARGS": {"max_connections": 1}}),
        lines(caplog) as logged,
    ):
        say("a")
        pool = wiring.cache_client().redis.connection_pool
        held = pool.get_connection()
        assert [newest_texts() for _ in range(FAILURES + 1)] == [["a"]] * (FAILURES + 1)
        assert not wiring.cache_client().breaker.is_open
        pool.release(held)
        newest_texts()
        assert len(statements(newest_texts)) == HIT[each_mode]
    assert [line.rpartition(": ")[2] for line in logged] == ["MaxConnectionsError"]


def test_refusals_do_not_open_the_breaker(each_mode: str, victim: Server) -> None:
    """What answers is there: one odd key, or one forbidden command, must not switch the cache off."""
    with Redis.from_url(victim.url) as client, caching(each_mode, victim.url):
        forbid_scripts(victim, client)
        goes_on(FAILURES * 2)
        assert not wiring.cache_client().breaker.is_open


def test_each_kind_of_trouble_has_its_line(each_mode: str, victim: Server, caplog: pytest.LogCaptureFixture) -> None:
    with Redis.from_url(victim.url) as client, caching(each_mode, victim.url), lines(caplog) as logged:
        for inflict in (make_replica, forbid_scripts, make_replica):
            inflict(victim, client)
            say("a")
            newest_texts()
    assert [line.rpartition(": ")[2] for line in logged] == ["ReadOnlyError", "NoPermissionError"]


def test_log_never_has_a_key_or_a_message(victim: Server, caplog: pytest.LogCaptureFixture) -> None:
    with Redis.from_url(victim.url) as client, caching("strict", victim.url), lines(caplog) as logged:
        say("a secret")
        newest_texts()
        (key,) = client.keys()
        client.delete(key)
        client.set(key, "secret too")
        newest_texts()
    assert len(logged) == 1
    assert "secret" not in logged[0]
    assert key.decode() not in logged[0]


@pytest.mark.parametrize("fault", FAULTS)
def test_failed_calls_leave_no_garbage(each_mode: str, victim: Server, fault: str) -> None:
    """Nothing of a call outlives it, for the collector to find: neither its messages nor the adapter."""
    inflict, _trouble = FAULTS[fault]
    gc.collect()
    gc.disable()
    try:
        with caching(each_mode, victim.url), Redis.from_url(victim.url) as client:
            adapter = weakref.ref(wiring.adapter())
            inflict(victim, client)
            goes_on()
        with caching("off", victim.url):
            wiring.adapter()
        assert adapter() is None
    finally:
        gc.enable()
