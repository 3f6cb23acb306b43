"""Owns memory providers with the names of jaf's document, over ``chat_memory.conversation``."""

from chat_memory.providers.configs import InMemoryConfig, MemoryProviderConfig, PostgresConfig, RedisConfig
from chat_memory.providers.conversations import ConversationMemory, MemoryProvider, MemoryQuery
from chat_memory.providers.environment import (
    create_memory_provider_from_env,
    get_memory_provider_info,
    test_memory_provider_connection,
)
from chat_memory.providers.errors import (
    MemoryConnectionError,
    MemoryError,  # noqa: A004  # the document's name
    MemoryNotFoundError,
    MemoryStorageError,
)
from chat_memory.providers.memory import InMemoryProvider, create_in_memory_provider
from chat_memory.providers.messages import Message
from chat_memory.providers.postgres import PostgresProvider, create_postgres_provider
from chat_memory.providers.redis import RedisProvider, create_redis_provider
from chat_memory.providers.results import Failure, Result, Success
from chat_memory.providers.views import MemoryConfig

__all__ = [
    "ConversationMemory",
    "Failure",
    "InMemoryConfig",
    "InMemoryProvider",
    "MemoryConfig",
    "MemoryConnectionError",
    "MemoryError",
    "MemoryNotFoundError",
    "MemoryProvider",
    "MemoryProviderConfig",
    "MemoryQuery",
    "MemoryStorageError",
    "Message",
    "PostgresConfig",
    "PostgresProvider",
    "RedisConfig",
    "RedisProvider",
    "Result",
    "Success",
    "create_in_memory_provider",
    "create_memory_provider_from_env",
    "create_postgres_provider",
    "create_redis_provider",
    "get_memory_provider_info",
    "test_memory_provider_connection",
]
