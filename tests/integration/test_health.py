"""Health: what works is said in bounded time and never by an exception."""

import threading
import time
from typing import Any

import msgspec
import pytest
from django.db import connections, transaction
from redis import Redis

from chat_memory import Message, conversation, wiring
from chat_memory.health import Health, ahealth, health
from chat_memory.log_limit import LogLimit
from tests.integration.outages import SLACK, frozen, redis_at, refusing
from tests.servers.redis import start_redis

pytestmark = pytest.mark.django_db(transaction=True)


def test_everything_answers() -> None:
    """FEATURES S1.17, J33."""
    found = health()
    assert (found.status, found.message) == ("healthy", "Database and cache answer.")
    assert found.database.ok
    assert found.cache.ok
    assert found.cache.mode == "strict"
    assert not found.cache.breaker_open
    assert (found.database.error, found.cache.error) == ("", "")
    assert set(found.metrics) == {"active_connections", "memory_usage", "avg_response_time"}
    active, memory, response = found.metrics.values()
    assert active is not None
    assert active >= 1
    assert memory is not None
    assert memory > 100_000
    assert response is not None
    assert found.database.latency_ms is not None
    assert found.cache.latency_ms is not None
    assert response == pytest.approx((found.database.latency_ms + found.cache.latency_ms) / 2)


def test_report_is_plain_data() -> None:
    found = health()
    assert msgspec.json.decode(msgspec.json.encode(found), type=Health) == found
    with pytest.raises(AttributeError):
        found.status = "degraded"  # type: ignore[misc]


async def test_async_twin() -> None:
    assert (await ahealth()).status == "healthy"


def test_without_a_cache_all_is_well(settings) -> None:
    settings.CHAT_MEMORY = {"CACHE": "off"}
    found = health()
    assert (found.status, found.cache.mode, found.cache.ok) == ("healthy", "off", True)
    assert found.metrics["active_connections"] is None


def test_a_look_leaves_a_callers_transaction_alone() -> None:
    with transaction.atomic():
        conversation("k", "acme").append(Message.user("x"))
        assert health().status == "healthy"
        assert len(conversation("k", "acme").messages()) == 1


def test_redis_that_is_gone_degrades(settings) -> None:
    with refusing() as address:
        settings.CACHES = redis_at(f"redis://{address}/0")
        found = health()
        assert (found.status, found.database.ok, found.cache.ok) == ("degraded", True, False)
        assert found.message == "Works without its cache: ConnectionError."
        for _ in range(5):
            found = health()
        assert found.cache.breaker_open
        assert conversation("k", "acme").append(Message.user("x")).last_seq == 1


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        (("REPLICAOF", "127.0.0.1", "1"), "ReadOnlyError"),
        (("ACL", "SETUSER", "default", "-eval", "-evalsha"), "NoPermissionError"),
        (("CONFIG", "SET", "maxmemory", "1"), "OutOfMemoryError"),
    ],
)
def test_redis_that_answers_and_does_not_serve_degrades(settings, command: tuple[str, ...], kind: str) -> None:
    """It says PONG, and no entry comes into it."""
    with start_redis() as server, Redis.from_url(server.url) as client:
        settings.CACHES = redis_at(server.url)
        assert health().status == "healthy"
        assert client.keys() == []
        client.execute_command(*command)
        found = health()
    assert (found.status, found.message) == ("degraded", f"Works without its cache: {kind}.")
    assert not found.cache.breaker_open


@pytest.mark.usefixtures("impatient")
def test_frozen_redis_degrades_and_recovers(settings) -> None:
    with start_redis() as server:
        settings.CACHES = redis_at(server.url)
        assert health().status == "healthy"
        with frozen(server):
            begin = time.perf_counter()
            assert health().status == "degraded"
            assert time.perf_counter() - begin < SLACK
        assert health().status == "healthy"


def test_redis_that_tells_nothing_of_itself_is_still_there(settings) -> None:
    with start_redis("--rename-command", "INFO", "") as server:
        settings.CACHES = redis_at(server.url)
        found = health()
    assert (found.status, found.cache.connections, found.cache.memory_bytes) == ("healthy", None, None)


@pytest.mark.parametrize("given", [{"CACHE": "sometimes"}, {"CACHE": "strict", "CACHE_ALIAS": "missing"}])
def test_wrong_settings_are_an_answer_too(settings, given: dict[str, Any]) -> None:
    settings.CHAT_MEMORY = given
    found = health()
    assert (found.status, found.message) == ("unhealthy", "The settings are invalid: ImproperlyConfigured.")


def test_the_same_trouble_is_one_entry_in_the_log(settings, caplog: pytest.LogCaptureFixture, monkeypatch: Any) -> None:
    monkeypatch.setattr("chat_memory.health._log_limit", LogLimit())
    settings.CHAT_MEMORY = {"CACHE": "sometimes"}
    for _ in range(3):
        health()
    assert [record.getMessage() for record in caplog.records] == ["chat_memory is not healthy: ImproperlyConfigured"]


def test_who_asks_at_the_same_moment_gets_the_same_answer() -> None:
    found: list[str] = []

    def look() -> None:
        found.append(health().status)
        connections.close_all()

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == ["healthy"] * 8


def test_a_look_is_no_read_of_anybodys_messages() -> None:
    """It asks for a session that cannot exist, so nothing is made either."""
    health()
    assert conversation("x", "health").session() is None
    assert wiring.adapter().sessions.find("health") == []
