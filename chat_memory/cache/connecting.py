"""Owns the building of the Redis client from the host's settings, with our timeouts and pool; it sends no commands."""

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
from chat_memory.cache.deadline import with_deadline
from chat_memory.host_callables import imported
from chat_memory.storage.redis.clients import remade

TIMEOUT = 0.05
"""The maximum seconds for a connect, a send or a whole reply, since the database can answer every read instead.

A call that has to connect first has ``deadline.CONNECTING`` times as long for everything together."""
PROTOCOL = 2
"""The RESP version. With 3, the library's pools do not notice an unread reply on a returned connection."""
LEFT_OUT = ("cache", "cache_config", "maint_notifications_config")
"""The pool arguments that are dropped: they require RESP 3, or cache replies in the process."""


def connect(alias: str, factory_path: str | None) -> CacheClient:
    """The client of this process for an alias of CACHES, or from REDIS_CLIENT; equal settings give the same object.

    Args:
        alias: the alias in CACHES; unused if there is a factory.
        factory_path: the value of REDIS_CLIENT; None: build the client from the alias.

    Raises:
        ImproperlyConfigured: the alias is missing or gives no client, or REDIS_CLIENT cannot be imported or returns an
            unsuitable one.
    """
    if factory_path:
        return _from_factory(factory_path)
    configured = django_settings.CACHES.get(alias)
    if not configured or not configured.get("LOCATION"):
        raise ImproperlyConfigured(f"CACHES has no {alias!r} with a LOCATION, which the cache of CHAT_MEMORY needs.")
    return _from_alias(alias, _Frozen(configured))


@cache
def _from_factory(path: str) -> CacheClient:
    make = imported("REDIS_CLIENT", path)
    return _client(lambda: _made(lambda: _checked(make(), path), f"REDIS_CLIENT: {path}"))


def _client(make: Callable[[], Redis]) -> CacheClient:
    client = CacheClient(make)
    # Build it now, so that wrong settings fail here. Some clients connect when built; if that fails, a later call
    # builds the client again.
    with suppress(*NO_ANSWER, RedisError):
        _ = client.redis
    return client


def _checked(redis: Any, path: str) -> Redis:
    """The object that REDIS_CLIENT returned, if the cache can use it.

    Raises:
        ImproperlyConfigured: it is not a Redis client, is asynchronous, decodes replies to text, or caches replies in
            the process, where the cache's rules cannot hold.
    """
    is_client = hasattr(redis, "get_encoder") and not isinstance(redis, (type, Pipeline))
    is_client = is_client and not inspect.iscoroutinefunction(redis.execute_command)
    if not is_client or redis.get_encoder().decode_responses:
        raise ImproperlyConfigured(
            f"REDIS_CLIENT: {path} must return a synchronous redis client with decode_responses=False."
        )
    if getattr(redis, "get_cache", lambda: None)() is not None:
        raise ImproperlyConfigured(f"REDIS_CLIENT: {path} must return a client without client-side caching.")
    client: Redis = redis
    return client


def quickened(client: Any) -> Any:
    """A client of the same server with the timeouts of the cache and no retries; a Sentinel or Cluster client itself.

    For a client that a caller passes, which may wait for seconds before it gives up.
    """
    own = remade(client, lambda kind: with_deadline(kind, TIMEOUT), protocol=PROTOCOL, **_timeouts())
    return client if own is None else own


class _Frozen(dict[str, Any]):
    """The settings of an alias, hashable by content, so that ``functools.cache`` accepts them."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(repr(self))


@cache
def _from_alias(alias: str, configured: _Frozen) -> CacheClient:
    default = getattr(django_settings, "DJANGO_REDIS_CONNECTION_FACTORY", "django_redis.pool.ConnectionFactory")

    def make() -> Any:
        location, options = configured["LOCATION"], dict(configured.get("OPTIONS", {}))
        first = location.split(",")[0] if isinstance(location, str) else location[0]
        # A subclass of the alias' own factory, so that Sentinel and the host's own topologies work.
        factory = type("OwnFactory", (_OwnFactory, import_string(options.get("CONNECTION_FACTORY", default))), {})
        return factory(options).connect(first)

    return _client(lambda: _made(make, f"CACHES[{alias!r}]"))


def _made(make: Callable[[], Any], where: str) -> Any:
    """The result of ``make``, which builds a client from the settings that ``where`` names.

    Raises:
        ImproperlyConfigured: no client can be built; the text has ``where`` and the cause.
        RedisError: the client connects when built, and Redis did not answer (or another error of NO_ANSWER).
    """
    try:
        return make()
    except (ImproperlyConfigured, *NO_ANSWER, RedisError):
        raise
    except Exception as error:
        raise ImproperlyConfigured(f"{where} gives no Redis client ({type(error).__name__}: {error})") from error


class _OwnFactory:
    """A mixin for django-redis connection factories: short timeouts, no retries, and pools of our own."""

    def __init__(self, options: dict[str, Any]) -> None:
        sentinel = {**options.get("SENTINEL_KWARGS", {}), **_timeouts()}
        given: dict[str, Any] = options.get("CONNECTION_POOL_KWARGS", {})
        pool = {name: value for name, value in given.items() if name not in LEFT_OUT} | {"protocol": PROTOCOL}
        super().__init__({**options, "SENTINEL_KWARGS": sentinel, "CONNECTION_POOL_KWARGS": pool})  # type: ignore[call-arg]

    def get_or_create_connection_pool(self, params: dict[str, Any]) -> Any:
        """A new pool. django-redis finds pools by their URL alone, so it would return the host's."""
        pool = self.get_connection_pool(params)  # type: ignore[attr-defined]
        # Set after the pool is built: the query of a LOCATION's URL overrides all arguments.
        pool.connection_kwargs.update(_timeouts(), decode_responses=False)
        if isinstance(pool, BlockingConnectionPool):
            pool.timeout = TIMEOUT
        sentinels = getattr(getattr(pool, "sentinel_manager", None), "sentinels", ())
        for each in (pool, *(sentinel.connection_pool for sentinel in sentinels)):
            each.connection_class = with_deadline(each.connection_class, TIMEOUT)
        # No I/O: builds one connection, so that unknown keyword arguments fail here.
        pool.connection_class(**pool.connection_kwargs)
        return pool


def _timeouts() -> dict[str, Any]:
    return {"socket_timeout": TIMEOUT, "socket_connect_timeout": TIMEOUT, "retry": Retry(NoBackoff(), 0)}
