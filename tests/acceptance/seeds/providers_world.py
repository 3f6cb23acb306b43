"""What the tests of providers share: a provider of each kind, and clients and configurations of the run's servers."""

from typing import Any

import redis

from chat_memory.providers import (
    InMemoryConfig,
    MemoryProvider,
    Message,
    PostgresConfig,
    RedisConfig,
    create_in_memory_provider,
    create_postgres_provider,
    create_redis_provider,
)

PROVIDERS = ("memory", "redis", "database")
CALL = {"id": "c1", "type": "function", "function": {"name": "search", "arguments": "{}"}}
"""A call of a tool."""


async def provider_of(kind: str, client: redis.Redis, **given: Any) -> Any:
    """A provider of a kind, as it comes out of the call that makes it."""
    made: MemoryProvider | Any
    if kind == "memory":
        made = create_in_memory_provider(InMemoryConfig(**given))
    elif kind == "redis":
        made = await create_redis_provider(RedisConfig(**given), client)
    else:
        made = await create_postgres_provider(PostgresConfig(**given))
    return made


def from_user(text: str, **fields: Any) -> Message:
    """A message of the user's."""
    return Message(role="user", content=text, **fields)


def from_assistant(text: str, **fields: Any) -> Message:
    """A message of the assistant's."""
    return Message(role="assistant", content=text, **fields)


def contents_of(messages: Any) -> list[Any]:
    """What messages say."""
    return [message.content for message in messages]


async def kept_in(provider: Any, conversation_id: str) -> list[Any]:
    """What the messages of a conversation say."""
    return contents_of((await provider.get_conversation(conversation_id)).messages)


def address_of(client: redis.Redis) -> dict[str, Any]:
    """Host, port and database of a client, by the fields of RedisConfig."""
    given = client.connection_pool.connection_kwargs
    return {name: given[name] for name in ("host", "port", "db")}
