"""The three adapters that ship run the kit that is shipped."""

from datetime import UTC, datetime, timedelta

import pytest
from redis import Redis

from chat_memory import models
from chat_memory.storage.base import CLAIM_LAPSES, Adapter
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

    def let_claims_lapse(self) -> None:
        claims = models.Summary.objects.filter(workspace__slug=self.workspace, text=None)
        claims.update(created_at=datetime.now(UTC) - timedelta(seconds=CLAIM_LAPSES))


class TestMemoryAdapter(AdapterConformance):
    """In this process, by a clock that waits for nobody."""

    passed = timedelta()

    def make_adapter(self) -> Adapter:
        return MemoryAdapter(clock=lambda: datetime.now(UTC) + self.passed)

    def let_claims_lapse(self) -> None:
        self.passed += timedelta(seconds=CLAIM_LAPSES)


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
