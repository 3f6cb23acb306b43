"""Metrics: each event is counted once, summed over processes, and never in the way of who is counted."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from chat_memory import Message, conversation, metrics, wiring
from tests.integration import recorders
from tests.integration.outages import refusing
from tests.servers.redis import start_redis
from tests.waiting import PATIENCE, eventually

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = (
    "import os, sys, django; django.setup(); from chat_memory import metrics; "
    f"from chat_memory.cache import connecting; connecting.TIMEOUT = {PATIENCE}; "
)


@pytest.fixture(autouse=True)
def _counting_from_zero(redis_client: Redis) -> Iterator[None]:
    """What earlier tests counted goes into sums that are thrown away."""
    metrics.sum_up_with(wiring.shared_counters)
    metrics.flush()
    redis_client.flushdb()
    yield
    metrics.sum_up_with(None)


def totals_counted() -> dict[str, int]:
    """The totals that are not 0."""
    return {name: count for name, count in metrics.totals().items() if count}


def in_another_process(program: str) -> None:
    """Another process of the same deployment."""
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONWARNINGS": "ignore"}
    subprocess.run([sys.executable, "-c", PROGRAM + program], cwd=ROOT, env=environment, check=True, timeout=PATIENCE)


def test_nothing_read_is_a_rate_of_zero() -> None:
    """FEATURES S2.26, N54."""
    assert metrics.hit_rate() == 0.0
    assert metrics.totals() == dict.fromkeys(metrics.NAMES, 0)


@pytest.mark.django_db(transaction=True)
def test_reads_are_counted_as_what_they_were() -> None:
    chat = conversation("k", "acme")
    chat.append(Message.user("x"))
    assert [len(chat.tail(5)) for _ in range(4)] == [1] * 4
    chat.append(Message.user("y"))
    chat.tail(1000)
    assert totals_counted() == {"misses": 1, "fills": 1, "hits": 3, "pushes": 2, "bypasses": 1}
    assert metrics.hit_rate() == 0.75


@pytest.mark.django_db(transaction=True)
async def test_twins_give_the_same() -> None:
    chat = conversation("k", "acme")
    await chat.aappend(Message.user("x"))
    await chat.atail(5)
    await chat.atail(5)
    assert await metrics.ahit_rate() == 0.5
    assert await metrics.atotals() == metrics.totals()


@pytest.mark.once
def test_processes_are_summed_and_flush_when_they_end() -> None:
    metrics.add("hits", 5)
    in_another_process("metrics.add('hits', 3); metrics.add('misses', 8)")
    in_another_process("metrics.add('hits', 2)")
    assert totals_counted() == {"hits": 10, "misses": 8}
    assert metrics.hit_rate() == 10 / 18


@pytest.mark.once
def test_the_end_of_a_process_without_redis_is_silent() -> None:
    """What it counted is lost, and there is nobody left whom a warning would help."""
    with refusing() as address:
        environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", "REDIS_URL": f"redis://{address}/0"}
        program = [sys.executable, "-c", PROGRAM + "metrics.add('hits')"]
        ended = subprocess.run(program, cwd=ROOT, env=environment, check=True, timeout=PATIENCE, capture_output=True)
    assert ended.stdout + ended.stderr == b""


@pytest.mark.once
def test_a_forked_child_does_not_count_again_what_its_parent_counted() -> None:
    in_another_process(
        "metrics.add('hits', 5); child = os.fork(); metrics.add('hits', 1); child and os.waitpid(child, 0)"
    )
    assert totals_counted() == {"hits": 7}


@pytest.mark.once
def test_a_fork_while_the_parent_flushes_leaves_the_child_able_to_count() -> None:
    """The child gets locks of its own: those it inherits belong to threads it does not have."""
    in_another_process(
        "import threading; inside, done = threading.Event(), threading.Event()\n"
        "class Slow:\n"
        "    def add(self, process, batch, counts): inside.set(); done.wait(); return counts\n"
        "class Quick:\n"
        "    def add(self, process, batch, counts): return counts\n"
        "metrics.sum_up_with(Slow); metrics.add('hits', 1)\n"
        "thread = threading.Thread(target=metrics.flush); thread.start(); inside.wait()\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    metrics.sum_up_with(Quick); metrics.add('misses', 4)\n"
        "    os._exit(0 if metrics.flush() == {'misses': 4} else 1)\n"
        "failed = os.waitpid(child, 0)[1]; done.set(); thread.join(); sys.exit(failed != 0)"
    )


def test_what_is_counted_comes_into_the_sums_by_itself(monkeypatch, redis_client: Redis) -> None:
    monkeypatch.setattr(metrics, "INTERVAL", 0.01)
    metrics.add("hits", 3)
    eventually(lambda: sums_stored(redis_client) == {b"hits": b"3"})
    metrics.add("hits", 4)
    eventually(lambda: sums_stored(redis_client) == {b"hits": b"7"})


def sums_stored(client: Any) -> dict[bytes, bytes]:
    """What Redis holds, asked past the module under test."""
    found: list[dict[bytes, bytes]] = [
        client.hgetall(key) for key in client.scan_iter("cm:{sums:*") if client.type(key) == b"hash"
    ]
    return found[0] if found else {}


def test_a_flush_comes_after_ten_seconds_and_not_before() -> None:
    assert metrics.INTERVAL == 10.0
    started = [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
    for _ in range(100):
        metrics.add("hits")
    timers = [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
    assert len(set(timers) - set(started)) <= 1
    assert all(timer.daemon for timer in timers)


@pytest.mark.usefixtures("impatient")
def test_a_batch_whose_answer_got_lost_is_added_once(settings) -> None:
    """A frozen Redis takes the call in and executes it when it wakes, long after the caller gave up."""
    with start_redis() as server:
        settings.CACHES = {"default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": server.url}}
        assert metrics.flush() == {}
        metrics.add("hits", 3)
        server.process.send_signal(signal.SIGSTOP)
        try:
            assert metrics.flush() is None
            metrics.add("hits", 4)
            assert metrics.totals()["hits"] >= 7
        finally:
            server.process.send_signal(signal.SIGCONT)
        eventually(lambda: metrics.flush() is not None)
        assert totals_counted() == {"hits": 7}
        with Redis.from_url(server.url) as client:
            eventually(lambda: executed(client) == 0)
        assert totals_counted() == {"hits": 7}


def test_a_batch_that_comes_late_is_not_added_again(redis_client: Redis) -> None:
    """The call that nobody waits for any more, after the next batch too; another process has numbers of its own."""
    shared = wiring.shared_counters()
    assert shared.add("one", 1, {"hits": 1}) == {"hits": 1}
    assert shared.add("one", 2, {"hits": 2}) == {"hits": 3}
    assert shared.add("one", 1, {"hits": 1}) == {"hits": 3}
    assert shared.add("other", 1, {"hits": 4}) == {"hits": 7}


def test_a_process_leaves_one_key_however_often_it_flushes(redis_client: Redis) -> None:
    for _ in range(5):
        metrics.add("hits")
        metrics.flush()
    keys = redis_client.keys("cm:{sums:*")
    assert len(keys) == 2
    assert sorted(redis_client.ttl(key) > 0 for key in keys) == [False, True]
    assert totals_counted() == {"hits": 5}


def executed(client: Redis) -> int:
    """How many clients but this one have something that Redis has not looked at."""
    return sum(int(other["qbuf"]) > 0 for other in client.client_list() if other["cmd"] != "client|list")


def test_counts_survive_a_redis_that_is_gone(settings) -> None:
    before = metrics.totals()
    with start_redis() as server:
        with start_redis() as gone:
            pass
        settings.CACHES = {"default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": gone.url}}
        metrics.add("misses", 2)
        assert metrics.flush() is None
        assert metrics.totals()["misses"] >= before["misses"] + 2
        settings.CACHES = {"default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": server.url}}
        assert totals_counted() == {"misses": 2}


def test_another_type_under_the_key_loses_nothing(redis_client: Redis) -> None:
    metrics.add("hits", 1)
    assert totals_counted() == {"hits": 1}
    (key,) = (key for key in redis_client.scan_iter("cm:{sums:*") if redis_client.type(key) == b"hash")
    redis_client.set(key, "garbage")
    metrics.add("hits", 1)
    assert metrics.flush() is None
    redis_client.delete(key)
    assert totals_counted() == {"hits": 1}


def test_a_sum_that_is_no_number_begins_again(redis_client: Redis) -> None:
    """What else is in the batch is added once all the same."""
    metrics.add("fills", 1)
    metrics.add("hits", 2)
    assert totals_counted() == {"fills": 1, "hits": 2}
    (key,) = (key for key in redis_client.scan_iter("cm:{sums:*") if redis_client.type(key) == b"hash")
    redis_client.hset(key, "hits", "garbage")
    metrics.add("misses", 1)
    metrics.add("hits", 4)
    metrics.add("fills", 1)
    assert (totals_counted(), totals_counted()) == ({"fills": 2, "hits": 4, "misses": 1},) * 2


@pytest.mark.parametrize("field", [{"foo": "bar"}, {"pushes": "1.5"}, {b"\xff": "1"}], ids=str)
def test_a_foreign_field_stops_no_sum(redis_client: Redis, field: Any) -> None:
    metrics.add("hits", 2)
    assert totals_counted() == {"hits": 2}
    (key,) = (key for key in redis_client.scan_iter("cm:{sums:*") if redis_client.type(key) == b"hash")
    redis_client.hset(key, mapping=field)
    metrics.add("hits", 3)
    assert totals_counted() == {"hits": 5}


def test_without_a_cache_there_is_this_process_alone(settings) -> None:
    settings.CHAT_MEMORY = {"CACHE": "off"}
    before = metrics.totals()["hits"]
    metrics.add("hits", 2)
    assert metrics.totals()["hits"] == before + 2


def test_nobody_waits_for_a_flush() -> None:
    """An event is counted while another thread waits for Redis."""
    asked, answer = threading.Event(), threading.Event()

    class Slow:
        def add(self, process: str, batch: int, counts: Mapping[str, int]) -> Mapping[str, int]:
            asked.set()
            answer.wait(PATIENCE)
            return counts

    metrics.sum_up_with(Slow)
    flushing = threading.Thread(target=metrics.flush, daemon=True)
    flushing.start()
    assert asked.wait(PATIENCE)
    adding = threading.Thread(target=metrics.add, args=("hits",), daemon=True)
    adding.start()
    adding.join(PATIENCE)
    counted_meanwhile = not adding.is_alive()
    answer.set()
    flushing.join(PATIENCE)
    assert counted_meanwhile


def test_threads_lose_no_count() -> None:
    def many() -> None:
        for _ in range(2000):
            metrics.add("hits")

    threads = [threading.Thread(target=many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert totals_counted() == {"hits": 8000}


@pytest.mark.django_db(transaction=True)
def test_the_recorder_hears_of_every_event_as_it_happens(settings) -> None:
    settings.CHAT_MEMORY = {"RECORDER": "tests.integration.recorders.Hearing"}
    recorders.heard.clear()
    chat = conversation("k", "acme")
    chat.append(Message.user("x"))
    chat.tail(5)
    chat.tail(5)
    assert dict(recorders.heard) == {"pushes": 1, "misses": 1, "fills": 1, "hits": 1}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", ["tests.integration.recorders.Deaf", "tests.integration.recorders.missing"])
def test_a_failing_recorder_breaks_no_read_and_is_logged_once(settings, caplog, path: str) -> None:
    settings.CHAT_MEMORY = {"RECORDER": path}
    chat = conversation("k", "acme")
    chat.append(Message.user("x"))
    assert [len(chat.tail(5)) for _ in range(3)] == [1] * 3
    assert [record.name for record in caplog.records] == ["chat_memory.metrics"]
    assert totals_counted()["hits"] == 2
