"""Owns the provider that keeps conversations only in Redis."""

from __future__ import annotations

import time
from typing import Any

from asgiref.sync import sync_to_async

from chat_memory.conf import live
from chat_memory.exceptions import ChatMemoryError
from chat_memory.providers.configs import RedisConfig, of_kind
from chat_memory.providers.errors import MemoryConnectionError
from chat_memory.providers.places import Place
from chat_memory.providers.provider import StoredProvider
from chat_memory.providers.results import Failure, Result, Success
from chat_memory.storage.redis import RedisAdapter
from chat_memory.storage.redis.clients import blocking, connected, of_sentinels, report


class RedisProvider(StoredProvider):
    """Conversations in Redis or Valkey, each under the prefix and its id; data that Redis loses or evicts is lost.

    A write restarts the time to live; a read does not, and writes nothing.

    Args:
        config: the prefix and the time to live.
        client: a ``redis.Redis`` or a ``redis.asyncio.Redis``. Only the settings of an asyncio client are used: calls
            run in a thread, on other connections.
        owned: whether ``close`` closes the client.
    """

    name = "Redis"

    def __init__(self, config: RedisConfig, client: Any, *, owned: bool = False) -> None:
        self.client = blocking(client, "redis_client")
        self._owned = owned
        adapter = RedisAdapter(self.client, config.key_prefix, config.ttl, plain=live.now().default_workspace)
        super().__init__(config, Place(adapter=adapter))

    def _health(self) -> dict[str, Any]:
        begin = time.perf_counter()
        try:
            info = report(self.client)
        except ChatMemoryError as error:
            return {"error": f"Does not answer: {error}", "latency_ms": None, "metrics": {}, "details": {}}
        latency = round((time.perf_counter() - begin) * 1000, 3)
        metrics = {
            "active_connections": info.get("connected_clients"),
            "memory_usage": info.get("used_memory"),
            "avg_response_time": latency,
        }
        details = {"version": info.get("valkey_version") or info.get("redis_version")}
        return {"message": "Redis answers.", "latency_ms": latency, "metrics": metrics, "details": details}

    def _close(self) -> bool:
        if self._owned:
            self.client.close()
        return True


async def create_redis_provider(config: RedisConfig | None = None, redis_client: Any = None) -> Result:
    """Make a provider in Redis and check that Redis answers; the result may be used as the provider itself.

    Args:
        config: which Redis, the prefix of the keys, and their time to live.
        redis_client: the client to use; None: one is made from ``config``.

    Returns:
        ``Success`` with the provider, or ``Failure`` if Redis does not answer or an argument cannot be used.
    """
    return await sync_to_async(_created)(config, redis_client)


def _created(config: RedisConfig | None, client: Any) -> Result:
    try:
        given = of_kind(RedisConfig, config)
        provider = RedisProvider(given, _client(given) if client is None else client, owned=client is None)
        report(provider.client)
    except ChatMemoryError as error:
        return Failure(MemoryConnectionError(f"Failed to connect: {error}", RedisProvider.name, error))
    return Success(provider)


def _client(config: RedisConfig) -> Any:
    given = {name: getattr(config, name) for name in ("host", "port", "db", "password") if name in config.given}
    if config.sentinel_hosts:
        named = {name: value for name, value in given.items() if name in ("db", "password")}
        return of_sentinels(config.sentinel_hosts, str(config.sentinel_service_name), **named)
    if config.url:
        return connected(config.url, **given)
    return connected(None, host=config.host, port=config.port, db=config.db, password=config.password)
