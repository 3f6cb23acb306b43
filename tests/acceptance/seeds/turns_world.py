"""Memories of each kind that the dialect of turns has, and what they say."""

from typing import Any

import redis

from chat_memory.turns import ChatMemoryConfig, RedisChatMemory

DURABLE: dict[str, dict[str, Any]] = {"redis": {}, "durable": {"durable": True}}
KINDS = tuple(DURABLE)


def memory_of(client: Any, kind: str = "redis", **config: Any) -> RedisChatMemory:
    """A memory in this Redis, or in the database."""
    return RedisChatMemory(client=client, config=ChatMemoryConfig(**config), **DURABLE[kind])


def said_in(memory: Any, conversation_id: str = "s") -> list[str]:
    """The contents of a history."""
    return [message["content"] for message in memory.get_history(conversation_id)]


def url_of(client: redis.Redis) -> str:
    """The URL of the Redis of a client."""
    given = client.connection_pool.connection_kwargs
    return f"redis://{given['host']}:{given['port']}/{given['db']}"
