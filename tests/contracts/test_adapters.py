"""The three adapters that ship run the kit that is shipped."""

import pytest
from redis import Redis

from chat_memory import models
from chat_memory.storage.base import Adapter
from chat_memory.storage.memory import MemoryAdapter
from chat_memory.storage.orm import DjangoAdapter
from chat_memory.storage.redis import RedisAdapter
from chat_memory.testing.conformance import AdapterConformance


@pytest.mark.django_db(transaction=True)
class TestDjangoAdapter(AdapterConformance):
    """On the database of the run."""

    def make_adapter(self) -> Adapter:
        return DjangoAdapter()

    def make_workspace(self, slug: str) -> None:
        models.Workspace.objects.create(slug=slug)


class TestMemoryAdapter(AdapterConformance):
    """In this process."""

    def make_adapter(self) -> Adapter:
        return MemoryAdapter()


class TestRedisAdapter(AdapterConformance):
    """On the Redis of the run."""

    @pytest.fixture(autouse=True)
    def _client(self, redis_client: Redis) -> None:
        self.client = redis_client

    def make_adapter(self) -> Adapter:
        return RedisAdapter(self.client)


class TestRedisAdapterWithExpiry(TestRedisAdapter):
    """The same where everything expires."""

    def make_adapter(self) -> Adapter:
        return RedisAdapter(self.client, ttl=600)
