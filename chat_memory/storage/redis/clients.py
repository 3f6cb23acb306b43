"""Owns the construction of Redis clients, and the conversion of asyncio clients to synchronous ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

from redis import BlockingConnectionPool, Connection, ConnectionPool, Redis, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.connection import (
    BlockingConnectionPool as AsyncBlockingConnectionPool,
    Connection as AsyncConnection,
    SSLConnection as AsyncSSLConnection,
    UnixDomainSocketConnection as AsyncUnixDomainSocketConnection,
)
from redis.exceptions import RedisError
from redis.retry import Retry
from redis.sentinel import Sentinel

from chat_memory.exceptions import StorageUnavailable, ValidationError

Connecting = Callable[[Any], Any]
"""Returns the connection class to use in place of another one."""

_CONNECTIONS: dict[Any, Any] = {
    AsyncConnection: Connection,
    AsyncSSLConnection: SSLConnection,
    AsyncUnixDomainSocketConnection: UnixDomainSocketConnection,
    **{kind: kind for kind in (Connection, SSLConnection, UnixDomainSocketConnection)},
}
_SETTINGS = (
    *("host", "port", "path", "db", "username", "password", "credential_provider", "client_name", "protocol"),
    *("socket_timeout", "socket_connect_timeout", "socket_keepalive", "encoding", "encoding_errors"),
    *("decode_responses", "health_check_interval", "retry_on_error"),
)
"""The settings of a connection that mean the same to both kinds of client; those of TLS begin with ``ssl_``."""

_URLS = 128
"""The number of URLs whose clients are kept."""
PATIENCE = 5.0
"""The connect timeout in seconds of clients that ``connected`` and ``of_sentinels`` make."""

_made: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()


@lru_cache(_URLS)
def client_at(url: str) -> Redis:
    """The synchronous client of a URL; a process has one client, and so one connection pool, per URL.

    Raises:
        ValidationError: the text is not a Redis URL.
    """
    try:
        return Redis.from_url(url)
    except (ValueError, TypeError, AttributeError) as error:
        raise ValidationError(f"is no address of a Redis: {error}", field="url") from None


def blocking(client: Any, field: str = "client") -> Any:
    """A synchronous client with the settings of an asyncio client; a synchronous client is returned as it is.

    An asyncio client belongs to one event loop, so calls from threads without a loop need their own connections. The
    same asyncio client gives the same synchronous client as long as it lives.

    Raises:
        ValidationError: the object is not a Redis client, or is an asyncio client whose connections have no synchronous
            counterpart, such as those of Sentinel and of a Cluster; the error names ``field``.
    """
    if not callable(getattr(client, "execute_command", None)):
        raise ValidationError(f"must be a redis.Redis, not {type(client).__name__}", field=field)
    if not any(kind.__module__.startswith("redis.asyncio") for kind in type(client).__mro__):
        return client
    found = _made.get(client) or remade(client)
    if found is None:
        raise ValidationError(
            f"is an asyncio client that has no synchronous form ({type(client).__name__}); pass a synchronous client, "
            "which is called in a thread",
            field=field,
        )
    _made[client] = found
    return found


def remade(client: Any, connection: Connecting = lambda kind: kind, **instead: Any) -> Redis | None:
    """A new synchronous client of the same server; None if the client's connections have no synchronous counterpart.

    Args:
        client: a synchronous or an asyncio client.
        connection: returns the class of the connections.
        instead: connection settings that replace the client's.
    """
    pool = getattr(client, "connection_pool", None)
    kind = _CONNECTIONS.get(getattr(pool, "connection_class", None))
    if pool is None or kind is None:
        return None
    given: dict[str, Any] = pool.connection_kwargs
    settings = {name: value for name, value in given.items() if name in _SETTINGS or name.startswith("ssl_")}
    retry = given.get("retry")
    if retry is not None:
        settings["retry"] = Retry(copy(retry._backoff), retry._retries)
    settings |= {"connection_class": connection(kind), "max_connections": pool.max_connections, **instead}
    if isinstance(pool, AsyncBlockingConnectionPool | BlockingConnectionPool):
        waiting = BlockingConnectionPool(timeout=pool.timeout, **settings)  # type: ignore[no-untyped-call]
        return Redis(connection_pool=waiting)
    return Redis(connection_pool=ConnectionPool(**settings))


def connected(url: str | None, **given: Any) -> Redis:
    """A synchronous client of a server; it connects with its first command.

    Args:
        url: the server's address; None: ``given`` contains it.
        given: connection settings, which override those of the address.

    Raises:
        ValidationError: the address cannot be read.
    """
    if url is None:
        return Redis(socket_connect_timeout=PATIENCE, **given)
    try:
        pool = ConnectionPool.from_url(url, socket_connect_timeout=PATIENCE)
    except ValueError:
        raise ValidationError("is no address of Redis", field="url") from None
    pool.connection_kwargs.update(given)
    return Redis(connection_pool=pool)


def of_sentinels(hosts: Sequence[tuple[str, int]], service: str, **given: Any) -> Any:
    """A synchronous client of the server that Sentinels currently name as the master of a service."""
    asking = {"socket_connect_timeout": PATIENCE, "socket_timeout": PATIENCE}
    sentinel: Any = Sentinel(list(hosts), sentinel_kwargs=asking)  # type: ignore[no-untyped-call]
    return sentinel.master_for(service, socket_connect_timeout=PATIENCE, **given)


def report(client: Any) -> dict[str, Any]:
    """The result of INFO; empty if the server answers, but does not permit INFO.

    Raises:
        StorageUnavailable: the server does not answer.
    """
    try:
        client.ping()
    except RedisError as error:
        raise StorageUnavailable(f"Redis: {type(error).__name__}") from error
    try:
        info: dict[str, Any] = client.info()
    except RedisError:
        return {}
    return info
