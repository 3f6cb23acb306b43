"""Owns what client the host's settings make, with the pool and timeouts it must have; it must not use it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string
from redis import BlockingConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.client import Pipeline
from redis.exceptions import RedisError
from redis.retry import Retry

from chat_memory.cache.client import NO_ANSWER, CacheClient

TIMEOUT = 0.05
"""Seconds a connect, a send or an answer may take: a database that has answered must not wait for its cache."""
PROTOCOL = 2
"""Of RESP. With 3 the library's pools do not see that a connection holds an answer which nobody waited for."""
LEFT_OUT = ("cache", "cache_config", "maint_notifications_config")
"""Arguments of a pool that go with RESP 3, or keep answers in the process."""


def connect(alias: str, factory_path: str | None) -> CacheClient:
    """The client of this process for an alias of CACHES; the same one for the same settings.

    Raises:
        ImproperlyConfigured: there is no such alias, or it makes no client, or REDIS_CLIENT returns none that fits.
    """
    if factory_path:
        return _from_factory(factory_path)
    configured = django_settings.CACHES.get(alias)
    if not configured or not configured.get("LOCATION"):
        raise ImproperlyConfigured(f"CACHES has no {alias!r} with a LOCATION, which CHAT_MEMORY's cache needs.")
    return _from_alias(alias, _Frozen(configured))


@cache
def _from_factory(path: str) -> CacheClient:
    make = import_string(path)
    return _client(lambda: _made(lambda: _fit(make(), path), f"REDIS_CLIENT: {path}"))


def _client(make: Callable[[], Redis]) -> CacheClient:
    client = CacheClient(make)
    # At once, so that wrong settings show. Some clients connect as they are made; a later call then tries again.
    with suppress(*NO_ANSWER, RedisError):
        _ = client.redis
    return client


def _fit(redis: Any, path: str) -> Redis:
    """A client that the cache can work with.

    Raises:
        ImproperlyConfigured: it is no client, it is an asynchronous one, or it decodes what it reads; or it keeps
            answers in the process, where none of the rules hold.
    """
    is_client = hasattr(redis, "get_encoder") and not isinstance(redis, (type, Pipeline))
    is_client = is_client and not inspect.iscoroutinefunction(redis.execute_command)
    if not is_client or redis.get_encoder().decode_responses:
        raise ImproperlyConfigured(f"REDIS_CLIENT: {path} must return a synchronous redis client that gives bytes.")
    if getattr(redis, "get_cache", lambda: None)() is not None:
        raise ImproperlyConfigured(f"REDIS_CLIENT: {path} must return a client without a cache of its own.")
    client: Redis = redis
    return client


class _Frozen(dict[str, Any]):
    """A configuration as a key of a memo: equal by content."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(repr(self))


@cache
def _from_alias(alias: str, configured: _Frozen) -> CacheClient:
    default = getattr(django_settings, "DJANGO_REDIS_CONNECTION_FACTORY", "django_redis.pool.ConnectionFactory")

    def make() -> Any:
        location, options = configured["LOCATION"], dict(configured.get("OPTIONS", {}))
        first = location.split(",")[0] if isinstance(location, str) else location[0]
        # A subclass of whatever factory the alias has: Sentinel and the host's own topologies keep working.
        factory = type("Impatient", (_Impatient, import_string(options.get("CONNECTION_FACTORY", default))), {})
        return factory(options).connect(first)

    return _client(lambda: _made(make, f"CACHES[{alias!r}]"))


def _made(make: Callable[[], Any], where: str) -> Any:
    """A client as the host's settings make it.

    Raises:
        ImproperlyConfigured: they make none; the text says where and why.
    """
    try:
        return make()
    except (ImproperlyConfigured, *NO_ANSWER, RedisError):
        raise
    except Exception as error:
        raise ImproperlyConfigured(f"{where} makes no client ({type(error).__name__}: {error})") from error


class _Impatient:
    """A django-redis connection factory with short timeouts, no retries, and pools of its own."""

    def __init__(self, options: dict[str, Any]) -> None:
        sentinel = {**options.get("SENTINEL_KWARGS", {}), **_timeouts()}
        given: dict[str, Any] = options.get("CONNECTION_POOL_KWARGS", {})
        pool = {name: value for name, value in given.items() if name not in LEFT_OUT} | {"protocol": PROTOCOL}
        super().__init__({**options, "SENTINEL_KWARGS": sentinel, "CONNECTION_POOL_KWARGS": pool})  # type: ignore[call-arg]

    def get_or_create_connection_pool(self, params: dict[str, Any]) -> Any:
        """A new pool: django-redis would hand out the host's, which is known by its URL alone."""
        pool = self.get_connection_pool(params)  # type: ignore[attr-defined]
        # Only now, since what a LOCATION says after its "?" overrides every argument.
        pool.connection_kwargs.update(_timeouts(), decode_responses=False)
        if isinstance(pool, BlockingConnectionPool):
            pool.timeout = TIMEOUT
        # No I/O: builds one connection, so that unknown keyword arguments fail here.
        pool.connection_class(**pool.connection_kwargs)
        return pool


def _timeouts() -> dict[str, Any]:
    return {"socket_timeout": TIMEOUT, "socket_connect_timeout": TIMEOUT, "retry": Retry(NoBackoff(), 0)}
