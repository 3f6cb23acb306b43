"""The stores that histories are in, and the two kinds of client."""

from collections.abc import Callable
from typing import Any

import pytest
import redis
from asgiref.sync import async_to_sync

from chat_memory.flow import DatabaseChatHistory, DjangoDatabaseAdapter, InMemoryChatHistory, RedisChatHistory
from tests.acceptance.seeds.flow_world import CustomHistory, ListAdapter, asyncio_client
from tests.acceptance.seeds.providers_world import PROVIDERS, provider_of


@pytest.fixture(params=["synchronous", "asyncio"])
def either_client(request: pytest.FixtureRequest, redis_client: redis.Redis) -> Any:
    """A client as the document makes one, and one as the package wants one."""
    return redis_client if request.param == "synchronous" else asyncio_client(redis_client)


HISTORIES: dict[str, Callable[[Any], Any]] = {
    "memory": lambda client: InMemoryChatHistory(),
    "redis": lambda client: RedisChatHistory("s", client),
    "database": lambda client: DatabaseChatHistory("s", DjangoDatabaseAdapter()),
    "another database": lambda client: DatabaseChatHistory("s", ListAdapter(), client),
    "of a host": lambda client: CustomHistory(),
}


@pytest.fixture(params=HISTORIES)
def any_history(request: pytest.FixtureRequest, redis_client: redis.Redis, db: None) -> Any:
    """An empty history in each kind of store."""
    return HISTORIES[request.param](redis_client)


# Those that use no database of Django's are the same over each.
KINDS = [kind if kind == "database" else pytest.param(kind, marks=pytest.mark.once) for kind in PROVIDERS]


@pytest.fixture(params=KINDS)
def provider(request: pytest.FixtureRequest, redis_client: redis.Redis, db: None) -> Any:
    """An empty provider of each kind."""
    return async_to_sync(provider_of)(request.param, redis_client)
