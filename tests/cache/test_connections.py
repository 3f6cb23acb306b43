"""The connections of the cache: few, kept, nobody else's; to whatever topology the host has; in forked children too."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.test import override_settings
from django_redis import get_redis_connection
from redis import Redis, RedisCluster
from redis.cache import CacheConfig
from redis.exceptions import RedisError

from chat_memory import wiring
from chat_memory.cache import connecting
from tests import patience
from tests.cache.caching import ALIAS, HIT, caching, key_of, newest_texts, statements
from tests.conversations import chat, say
from tests.integration.outages import SLACK
from tests.integration.trickle import trickling
from tests.patience import waiting
from tests.servers import Server, start_redis, start_sentinel
from tests.waiting import PATIENCE, eventually

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgresql]

ROOT = Path(__file__).resolve().parents[2]
SLOTS = 16_384
FORK = """
import os, sys, django
django.setup()
from chat_memory import wiring
from tests.cache.caching import caching
with caching("strict", sys.argv[1]):
    number = lambda: print(wiring.cache_client().redis.client_id(), flush=True)
    number()
    child = os.fork()
    if child:
        os.waitpid(child, 0)
    number()
"""
PLACES: list[int] = []
"""The port a factory below connects to."""


def made_by_the_host() -> Redis:
    return Redis(port=PLACES[-1], db=5, socket_timeout=connecting.TIMEOUT)


def of_a_single_connection() -> Redis:
    return Redis(port=PLACES[-1], db=5, socket_timeout=connecting.TIMEOUT, single_connection_client=True)


def cluster_of_the_host() -> RedisCluster:
    return RedisCluster(host="127.0.0.1", port=PLACES[-1], socket_timeout=connecting.TIMEOUT)


@pytest.fixture
def cluster() -> Iterator[Server]:
    """A Cluster of one node."""
    with socket.socket() as bus:
        bus.bind(("127.0.0.1", 0))
        port = bus.getsockname()[1]
    with (
        start_redis("--cluster-enabled", "yes", "--cluster-port", str(port)) as server,
        Redis(port=server.port) as node,
    ):
        node.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, SLOTS - 1)
        eventually(lambda: b"cluster_state:ok" in node.execute_command("CLUSTER", "INFO", NEVER_DECODE=True))
        yield server


@pytest.fixture(autouse=True)
def _new_factories() -> Iterator[None]:
    """What a factory made belongs to its server, which goes with the test."""
    yield
    connecting._from_factory.cache_clear()


def connections_made(client: Redis) -> int:
    number: int = client.info("stats")["total_connections_received"]
    return number


def test_no_connection_for_each_call(cached: str, client: Redis) -> None:
    """FEATURES R05."""
    say("a")
    newest_texts()
    before = connections_made(client)
    for number in range(20):
        say(str(number))
        newest_texts()
        chat().tail_json(5)
    assert connections_made(client) == before


def test_nobody_waits_long_for_redis() -> None:
    """The tests do, and so they must say what holds without them."""
    assert patience.IN_PRODUCTION == {"TIMEOUT": 0.05, "LEASE_MS": 300}


def test_threads_share_a_pool(cached: str, client: Redis) -> None:
    say("a")
    newest_texts()
    before = connections_made(client)

    def read() -> list[object]:
        try:
            return [newest_texts() for _ in range(10)]
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as threads:
        answers = [answer.result() for answer in [threads.submit(read) for _ in range(4)]]
    assert answers == [[["a"]] * 10] * 4
    assert connections_made(client) - before <= 4


@pytest.mark.parametrize("given", [{}, {"SOCKET_TIMEOUT": 7, "CONNECTION_POOL_KWARGS": {"socket_timeout": 9}}])
def test_pool_of_the_host_keeps_its_timeouts(shared_server: Server, given: dict[str, object]) -> None:
    """One alias for both: django-redis would hand out one pool for one address."""
    with caching("strict", shared_server.url, given):
        host = get_redis_connection(ALIAS)
        before = dict(host.connection_pool.connection_kwargs)
        ours = wiring.cache_client().redis
        assert host.connection_pool is not ours.connection_pool
        assert ours.connection_pool.connection_kwargs["socket_timeout"] == connecting.TIMEOUT
        assert ours.connection_pool.connection_kwargs["socket_connect_timeout"] == connecting.TIMEOUT
        assert host.connection_pool.connection_kwargs == before
        assert before.get("socket_timeout") != connecting.TIMEOUT


def test_nothing_in_the_alias_undoes_what_the_cache_needs(client: Redis, shared_server: Server, each_mode: str) -> None:
    """The end of an address overrides arguments, and answers kept in the process are nobody's to refuse."""
    url = f"{shared_server.url}?decode_responses=True&socket_timeout=7&socket_connect_timeout=7&retry_on_timeout=True"
    options = {"CONNECTION_POOL_KWARGS": {"protocol": 3, "cache_config": CacheConfig()}}
    with caching(each_mode, url, options):
        say("a")
        newest_texts()
        assert len(statements(newest_texts)) == HIT[each_mode]
        redis = wiring.cache_client().redis
        assert redis.get_cache() is None
        (connection,) = [redis.connection_pool.get_connection()]
        assert (connection.socket_timeout, connection.socket_connect_timeout) == (connecting.TIMEOUT,) * 2
        assert connection.retry.get_retries() == 0
        redis.connection_pool.release(connection)


def test_address_that_is_none_costs_no_answer(each_mode: str) -> None:
    with caching(each_mode, "redis://a..b:6379/0"):
        say("a")
        assert newest_texts() == ["a"]


def test_options_of_the_alias_are_kept(victim: Server) -> None:
    """The password, the database and what else the host says of its connections."""
    with Redis.from_url(victim.url) as client:
        client.config_set("requirepass", "secret")
        client.auth("secret")
        url = victim.url.removesuffix("/0") + "/3"
        options = {"PASSWORD": "secret", "CONNECTION_POOL_KWARGS": {"client_name": "chats", "decode_responses": True}}
        with caching("bounded", [url, url], options):  # with replicas: the first is the primary
            say("a")
            newest_texts()
            assert len(statements(newest_texts)) == HIT["bounded"]
            assert "chats" in {each["name"] for each in client.client_list() if each["db"] == "3"}


@pytest.mark.parametrize("factory", [made_by_the_host, of_a_single_connection])
@pytest.mark.parametrize("mode", ["strict", "bounded"])
def test_factory_of_the_host(shared_server: Server, client: Redis, mode: str, factory: Callable[[], Redis]) -> None:
    """Whether or not its client lends a connection, one is enough for one thread."""
    PLACES.append(shared_server.port)
    before = connections_made(client)
    with caching(mode, "redis://127.0.0.1:1/0", REDIS_CLIENT=f"{__name__}.{factory.__name__}"):
        say("a")
        newest_texts()
        assert len(statements(newest_texts)) == HIT[mode]
    assert client.info("keyspace")["db5"]["keys"] == 1
    assert connections_made(client) - before == 1


@pytest.mark.parametrize("mode", ["strict", "bounded"])
def test_cluster_by_a_factory(cluster: Server, mode: str) -> None:
    """Scripts and reads go to the node of the one key they have."""
    PLACES.append(cluster.port)
    path = f"{__name__}.cluster_of_the_host"
    with caching(mode, "redis://127.0.0.1:1/0", REDIS_CLIENT=path), Redis(port=cluster.port) as node:
        say("a")
        newest_texts()
        say("b")
        assert len(statements(newest_texts)) == HIT[mode]
        assert newest_texts() == ["a", "b"]
        assert "{" in key_of(node)
        node.flushall()
        assert newest_texts() == ["a", "b"]
        wiring.cache_client().redis.close()


def test_cluster_that_is_down_at_the_start(each_mode: str, victim: Server) -> None:
    """Its client asks the nodes when it is made; that must not be an exception of ours."""
    victim.process.kill()
    victim.process.wait()
    PLACES.append(victim.port)
    with caching(each_mode, "redis://127.0.0.1:1/0", REDIS_CLIENT=f"{__name__}.cluster_of_the_host"):
        for number in range(5):
            say(str(number))
        assert newest_texts() == list("01234")
        assert wiring.cache_client().breaker.is_open


@pytest.mark.parametrize("location", [None, ""])
def test_alias_without_an_address_is_refused(location: object) -> None:
    alias = {"default": {"LOCATION": location}}
    given = override_settings(CACHES=alias, CHAT_MEMORY={"CACHE": "strict"})
    with given, pytest.raises(ImproperlyConfigured, match="'default'"):
        chat()


@pytest.fixture
def replicated(victim: Server) -> Iterator[tuple[Server, Server]]:
    """A primary and its replica, which follows it."""
    with Redis(port=victim.port) as primary, start_redis("--replicaof", "127.0.0.1", str(victim.port)) as replica:
        primary.config_set("repl-diskless-sync-delay", "0")
        eventually(lambda: primary.info("replication").get("slave0", {}).get("state") == "online")
        yield victim, replica


def test_sentinel_by_the_alias_survives_a_failover(each_mode: str, replicated: tuple[Server, Server]) -> None:
    """The primary is asked of the Sentinels, and after a failover it is another one."""
    primary, replica = replicated
    with (
        start_sentinel(primary, "chats") as sentinel,
        Redis(port=replica.port) as successor,
        caching(each_mode, "redis://chats/0", by_sentinels(sentinel.port)),
    ):
        say("a")
        newest_texts()
        assert len(statements(newest_texts)) == HIT[each_mode]
        fail_over(sentinel, replica)
        version = say("b")
        assert [message.content for message in chat().tail(9, min_version=version)] == ["a", "b"]
        successor.flushall()
        eventually(lambda: newest_texts() and not wiring.cache_client().breaker.is_open and successor.dbsize())
        assert len(statements(newest_texts)) == HIT[each_mode]


def test_d1_a_sentinel_whose_answer_trickles_has_a_deadline_too(victim: Server) -> None:
    """It is asked where the primary is whenever a connection is made; byte by byte it would take seconds."""
    begun = threading.Event()
    with (
        start_sentinel(victim, "chats") as sentinel,
        trickling(sentinel.port, 1, 0.2, begun=begun) as port,
        waiting(0.3),
        caching("strict", "redis://chats/0", by_sentinels(port)),
    ):
        say("a")
        newest_texts()
        client = wiring.cache_client()
        pool: Any = client.redis.connection_pool
        pool.disconnect()
        for each in pool.sentinel_manager.sentinels:
            each.connection_pool.disconnect()
        client.breaker.succeeded()
        begun.set()
        began = time.monotonic()
        assert newest_texts() == ["a"]
        assert time.monotonic() - began < SLACK
        assert client.breaker._failures


def by_sentinels(*ports: int) -> dict[str, Any]:
    """The OPTIONS of an alias that asks Sentinels for its primary."""
    return {
        "CLIENT_CLASS": "django_redis.client.SentinelClient",
        "CONNECTION_FACTORY": "django_redis.pool.SentinelConnectionFactory",
        "SENTINELS": [("127.0.0.1", port) for port in ports],
    }


def fail_over(sentinel: Server, replica: Server) -> None:
    """Makes the Sentinel promote the replica, and waits until it has."""
    wanted = ["127.0.0.1", str(replica.port)]
    with Redis(port=sentinel.port, decode_responses=True) as ask:

        def promoted() -> bool:
            with suppress(RedisError):  # until it knows the replica, and while it is at it
                ask.execute_command("SENTINEL", "FAILOVER", "chats")
            return list(ask.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "chats")) == wanted

        eventually(promoted)


def test_forked_child_has_a_connection_of_its_own(shared_server: Server) -> None:
    """The parent's would mix the answers of both. In a process of its own, since one with threads may not fork."""
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    program = [sys.executable, "-c", FORK, shared_server.url]
    ended = subprocess.run(program, cwd=ROOT, env=environment, check=True, timeout=PATIENCE, capture_output=True)
    parent, child, again = ended.stdout.split()
    assert parent == again
    assert parent != child
