"""What providers are configured with, in Python and by environment variables, and what is wrong with it."""

import logging
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import redis
from asgiref.sync import async_to_sync
from django.db import connections

from chat_memory.exceptions import ValidationError
from chat_memory.providers import (
    Failure,
    InMemoryConfig,
    MemoryConnectionError,
    PostgresConfig,
    RedisConfig,
    Success,
    create_memory_provider_from_env,
    create_postgres_provider,
    create_redis_provider,
    get_memory_provider_info,
    test_memory_provider_connection,
)
from chat_memory.providers.environment import VARIABLES
from tests.acceptance.seeds.providers_world import address_of, from_user
from tests.servers import start_redis, start_sentinel

pytestmark = pytest.mark.django_db


CONFIGS: list[tuple[Any, dict[str, Any]]] = [
    (InMemoryConfig, {"max_conversations": 0}),
    (InMemoryConfig, {"max_messages": 0}),
    (InMemoryConfig, {"max_messages": 1, "max_messages_per_conversation": 2}),
    (RedisConfig, {"port": 0}),
    (RedisConfig, {"port": 65_536}),
    (RedisConfig, {"db": -1}),
    (RedisConfig, {"ttl": 0}),
    (RedisConfig, {"host": 1}),
    (RedisConfig, {"sentinel_hosts": "a:1"}),
    (RedisConfig, {"sentinel_hosts": "a", "sentinel_service_name": "m"}),
    (PostgresConfig, {"port": 0}),
    (PostgresConfig, {"ssl": "yes"}),
    (PostgresConfig, {"max_connections": 0}),
]


@pytest.mark.once
def test_configurations_are_checked_when_they_are_made() -> None:
    """S1.60, S1.23, S1.24, S1.26, J31: with the documented defaults, and no unknown name."""
    for kind, given in CONFIGS:
        with pytest.raises(ValidationError, match="|".join(given)):
            kind(**given)
    kinds: list[Any] = [InMemoryConfig, RedisConfig, PostgresConfig]
    for kind in kinds:
        with pytest.raises(TypeError, match="unknown"):
            kind(unknown=1)
    assert (RedisConfig().host, RedisConfig().port, RedisConfig().db) == ("localhost", 6379, 0)
    assert (RedisConfig().key_prefix, RedisConfig().ttl) == ("jaf:memory:", None)
    plain = PostgresConfig()
    assert (plain.host, plain.port, plain.database, plain.username) == ("localhost", 5432, "jaf_memory", "postgres")
    assert (plain.table_name, plain.max_connections, plain.ssl) == ("conversations", 10, False)
    assert InMemoryConfig(max_messages_per_conversation=5).max_messages == 5
    assert InMemoryConfig().max_messages == InMemoryConfig().max_conversations == 1000


def postgresql_settings() -> dict[str, Any]:
    """The settings of a database of PostgreSQL, to which nothing connects."""
    place = {"HOST": "db.example", "PORT": "5433", "NAME": "shop", "USER": "ada", "PASSWORD": "hush"}
    return {"ENGINE": "django.db.backends.postgresql", "OPTIONS": {"sslmode": "prefer"}, **place}


@pytest.fixture
def other_postgresql(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The alias of a database of PostgreSQL, to which nothing connects."""
    alias = "other_postgresql"
    settings = connections.configure_settings({"default": {}, alias: postgresql_settings()})
    monkeypatch.setitem(connections.settings, alias, settings[alias])
    yield alias
    with suppress(AttributeError):  # where it was asked for nothing
        del connections[alias]  # else other tests would find it, whatever the settings say


async def test_a_difference_is_a_failure_that_says_what_to_change(other_postgresql: str) -> None:
    """S1.26, S1.27, J22: each of them, without the password; what is equal or left out is accepted."""
    right = "postgresql://ada:hush@db.example:5433/shop"
    accepted: list[dict[str, Any]] = [{}, {"connection_string": right}, {"host": "db.example", "port": 5433}]
    for given in accepted:
        made = await create_postgres_provider(PostgresConfig(using=other_postgresql, **given), object())
        assert isinstance(made, Success)
    wrong: dict[str, dict[str, Any]] = {
        "HOST": {"host": "localhost"},
        "PORT": {"port": 5432},
        "NAME": {"database": "jaf_memory"},
        "USER": {"username": "postgres"},
        "PASSWORD": {"password": "another"},
        "sslmode": {"ssl": True},
    }
    for name, given in wrong.items():
        made = await create_postgres_provider(PostgresConfig(using=other_postgresql, **given))
        assert isinstance(made.error, MemoryConnectionError)
        assert f"['{name}']" in str(made.error)
        assert "hush" not in str(made.error)
        assert "another password" in str(made.error) or "another" not in str(made.error)
    for text in (
        "postgresql://ada:hush@db.example:5433/shop?sslmode=require",
        "host=db.example port=5433 dbname=shop sslmode=verify-full",
    ):
        made = await create_postgres_provider(PostgresConfig(using=other_postgresql, connection_string=text))
        assert "sslmode" in str(made.error)
    for text in ("postgresql://ada:hush@db.example:5433/other", "dbname=other", "postgresql://h:port/x", "nothing"):
        made = await create_postgres_provider(PostgresConfig(using=other_postgresql, connection_string=text))
        assert isinstance(made, Failure)


@pytest.mark.sqlite
async def test_settings_of_postgresql_are_refused_over_another_database() -> None:
    """S1.26: since the conversations would go elsewhere than the caller means."""
    made = await create_postgres_provider(PostgresConfig(host="localhost"))
    assert "DATABASES['default']['ENGINE']" in str(made.error)
    assert isinstance(await create_postgres_provider(), Success)


async def test_a_pool_that_differs_is_told_of(other_postgresql: str, caplog: pytest.LogCaptureFixture) -> None:
    """S1.29, J32: it changes nothing that is stored."""
    made = await create_postgres_provider(
        PostgresConfig(using=other_postgresql, max_connections=20), pool={"min_size": 5}
    )
    assert isinstance(made, Success)
    assert "['OPTIONS']['pool']['max_size'] is None, not 20" in caplog.text
    assert "['min_size'] is None, not 5" in caplog.text


async def test_redis_that_does_not_answer_is_a_failure() -> None:
    """S1.25, S1.17: when the provider is made, and by every call and the health later."""
    made = await create_redis_provider(RedisConfig(port=1))
    assert isinstance(made.error, MemoryConnectionError)
    for url in ("nonsense", "http://example.org"):
        assert isinstance(await create_redis_provider(RedisConfig(url=url)), Failure)
    assert "redis_client" in str((await create_redis_provider(RedisConfig(), object())).error)
    assert "RedisConfig" in str((await create_redis_provider(InMemoryConfig())).error)  # type: ignore[arg-type]


def test_redis_that_goes_away_fails_every_call() -> None:
    """S1.17, J33: the health is a failure that is read like a report; after its return all works again."""
    with start_redis() as server:
        made = async_to_sync(create_redis_provider)(RedisConfig(url=server.url))
        async_to_sync(made.store_messages)("c", [from_user("1")])
    for call in (made.get_conversation, made.get_recent_messages, made.delete_conversation):
        gone = async_to_sync(call)("c")
        assert isinstance(gone.error, MemoryConnectionError)
    health = async_to_sync(made.health_check)()
    assert isinstance(health, Failure)
    assert (health["healthy"], health.get("provider")) == (False, "Redis")
    assert "ConnectionError" in health.get("error")


def test_sentinels_say_which_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """S1.30, J32."""
    with start_redis() as server, start_sentinel(server, "mymaster") as sentinel:
        monkeypatch.setenv("JAF_MEMORY_TYPE", "redis")
        monkeypatch.setenv("JAF_REDIS_SENTINEL_HOSTS", f"127.0.0.1:{sentinel.port},127.0.0.1:1")
        monkeypatch.setenv("JAF_REDIS_SENTINEL_SERVICE_NAME", "mymaster")
        provider = async_to_sync(create_memory_provider_from_env)()
        async_to_sync(provider.store_messages)("c", [from_user("1")])
        with redis.Redis.from_url(server.url) as there:
            assert there.exists("jaf:memory:c")
        async_to_sync(provider.close)()
        monkeypatch.setenv("JAF_REDIS_SENTINEL_SERVICE_NAME", "unknown")
        assert isinstance(async_to_sync(create_memory_provider_from_env)(), Failure)


async def test_redis_variables_have_an_effect(redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """S1.31, S1.32, J32: by the documented names and by those the package reads."""
    monkeypatch.setenv("JAF_MEMORY_TYPE", "redis")
    for name, value in address_of(redis_client).items():
        monkeypatch.setenv(f"JAF_REDIS_{name.upper()}", str(value))
    monkeypatch.setenv("JAF_REDIS_PREFIX", "package:")
    monkeypatch.setenv("JAF_REDIS_TTL", "60")
    await (await create_memory_provider_from_env()).store_messages("c", [from_user("1")])
    assert 0 < redis_client.ttl("package:c") <= 60
    monkeypatch.setenv("JAF_REDIS_KEY_PREFIX", "document:")
    await (await create_memory_provider_from_env()).store_messages("c", [from_user("1")])
    assert redis_client.exists("document:c")
    clients = {"redis": redis_client}
    monkeypatch.setenv("JAF_REDIS_PORT", "1")
    assert isinstance(await create_memory_provider_from_env(clients), Success)


async def test_postgres_variables_have_an_effect(other_postgresql: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """S1.32, J22, J32: a database of another name is refused under both names of the variable."""
    monkeypatch.setenv("JAF_MEMORY_TYPE", "POSTGRES")
    made = await create_memory_provider_from_env()
    assert isinstance(made, Success)
    wrong = [
        *("CONNECTION_STRING=postgresql://h/x", "HOST=h.example", "PORT=1", "DATABASE=d", "DB=d", "USERNAME=u"),
        *("USER=u", "PASSWORD=p", "SSL=true"),
    ]
    for text in wrong:
        name, _, value = text.partition("=")
        with monkeypatch.context() as patched:
            patched.setenv(f"JAF_POSTGRES_{name}", value)
            assert isinstance((await create_memory_provider_from_env()).error, MemoryConnectionError), name
    for name in ("TABLE_NAME", "TABLE"):
        with monkeypatch.context() as patched:
            patched.setenv(f"JAF_POSTGRES_{name}", f"shop-{name}")
            made = await create_memory_provider_from_env({"postgres": object()})
            assert made.place.workspace == f"shop-{name}"


@pytest.mark.once
async def test_memory_variables_have_an_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    """S1.32: and memory is what is made where no type is named."""
    monkeypatch.setenv("JAF_MEMORY_MAX_CONVERSATIONS", "7")
    monkeypatch.setenv("JAF_MEMORY_MAX_MESSAGES", "3")
    made = await create_memory_provider_from_env()
    assert (made.config.max_conversations, made.config.max_messages) == (7, 3)


@pytest.mark.once
async def test_variables_that_cannot_be_used_are_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """S1.31, S1.32, J32: a wrong value fails, an unknown or idle name is told of."""
    for name, kind, value in (
        ("JAF_MEMORY_MAX_MESSAGES", "memory", "many"),
        ("JAF_REDIS_PORT", "redis", "x"),
        ("JAF_POSTGRES_SSL", "postgres", "perhaps"),
        ("JAF_MEMORY_TYPE", "mongo", "mongo"),
    ):
        with monkeypatch.context() as patched:
            patched.setenv("JAF_MEMORY_TYPE", kind)
            patched.setenv(name, value)
            assert name in str((await create_memory_provider_from_env()).error)
            assert name in get_memory_provider_info()["error"]
            assert name in (await test_memory_provider_connection())["error"]
    caplog.set_level(logging.WARNING, logger="chat_memory.providers")
    monkeypatch.setenv("JAF_REDIS_PASWORD", "secret")
    monkeypatch.setenv("JAF_POSTGRES_POOL_MAX_QUERIES", "50000")
    await create_memory_provider_from_env()
    assert "JAF_REDIS_PASWORD" in caplog.text
    assert "JAF_POSTGRES_POOL_MAX_QUERIES has no effect" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.once
def test_info_connects_to_nothing_and_tells_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """S1.33."""
    assert get_memory_provider_info()["persistence"] is False
    monkeypatch.setenv("JAF_MEMORY_TYPE", "redis")
    monkeypatch.setenv("JAF_REDIS_URL", "redis://:hush@nowhere.example:1/0")
    info = get_memory_provider_info()
    assert (info["type"], info["persistence"], info["configured"]) == ("redis", True, ["url"])
    assert "hush" not in str(info)


@pytest.mark.once
def test_every_documented_variable_is_known() -> None:
    """S1.32, J32."""
    known = {name for of_kind in VARIABLES.values() for name in of_kind}
    redis_names = "URL HOST PORT PASSWORD DB KEY_PREFIX TTL SENTINEL_HOSTS SENTINEL_SERVICE_NAME"
    assert {f"JAF_REDIS_{name}" for name in redis_names.split()} <= known
    postgres_names = "CONNECTION_STRING HOST PORT DATABASE USERNAME PASSWORD SSL TABLE_NAME MAX_CONNECTIONS"
    assert {f"JAF_POSTGRES_{name}" for name in postgres_names.split()} <= known
