"""The adapters that ship run the kit that is shipped, and those that have a cache before them in both its modes."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from redis import Redis

from chat_memory import models
from chat_memory.cache import CachedAdapter
from chat_memory.cache.client import CacheClient
from chat_memory.cache.coherence import Coherence
from chat_memory.cache.policy import CachePolicy
from chat_memory.storage.contract import CLAIM_LAPSES, Adapter
from chat_memory.storage.memory import MemoryAdapter
from chat_memory.storage.orm import DjangoAdapter
from chat_memory.storage.redis import RedisAdapter
from chat_memory.testing.conformance import AdapterConformance

APPENDED_TO_CURRENT = "an append to the current branch is read by the branch's name when the entry there is too old"
EXCEPTIONS = {
    "test_a_switch_makes_another_branch_current": APPENDED_TO_CURRENT,
    "test_append_racing_a_switch": APPENDED_TO_CURRENT,
    "test_several_branches_are_written_together_or_not_at_all": APPENDED_TO_CURRENT,
}
"""Clauses that mode bounded does not promise, each with the reason."""


@pytest.mark.django_db(transaction=True)
class TestDjangoAdapter(AdapterConformance):
    """On the database of the run."""

    def make_adapter(self) -> Adapter:
        return DjangoAdapter()

    def make_workspace(self, slug: str) -> None:
        models.Workspace.objects.create(slug=slug)

    def host_user(self) -> Any:
        return get_user_model().objects.create_user("somebody").pk

    def let_claims_lapse(self) -> None:
        claims = models.Summary.objects.filter(workspace__slug=self.workspace, text=None)
        claims.update(created_at=datetime.now(UTC) - timedelta(seconds=CLAIM_LAPSES))

    def let_drafts_lapse(self) -> None:
        models.Draft.objects.filter(workspace__slug=self.workspace).update(touched=1_000)


@pytest.mark.once
class TestMemoryAdapter(AdapterConformance):
    """In this process, by a clock that waits for nobody."""

    passed = timedelta()

    def make_adapter(self) -> Adapter:
        return MemoryAdapter(clock=lambda: datetime.now(UTC) + self.passed)

    def let_claims_lapse(self) -> None:
        self.passed += timedelta(seconds=CLAIM_LAPSES)

    def let_drafts_lapse(self) -> None:
        self.passed += timedelta(days=1)


@pytest.mark.once
class TestRedisAdapter(AdapterConformance):
    """On the Redis of the run, whose scripts change the keys of one conversation alone."""

    changes_several = False
    yields_keys = False

    @pytest.fixture(autouse=True)
    def _client(self, redis_client: Redis) -> None:
        self.client = redis_client

    def make_adapter(self) -> Adapter:
        return RedisAdapter(self.client)


class TestRedisAdapterWithExpiry(TestRedisAdapter):
    """The same where everything expires."""

    def make_adapter(self) -> Adapter:
        return RedisAdapter(self.client, ttl=600)


class Cached:
    """Mixed into the tests of an adapter: the same one, behind the cache."""

    mode: Any = "strict"

    @pytest.fixture(autouse=True)
    def _redis(self, redis_client: Redis) -> None:
        self.redis = redis_client

    def make_adapter(self) -> Adapter:
        self.inner: Any = super().make_adapter()  # type: ignore[misc]  # of the adapter's own tests
        policy = CachePolicy(self.mode, tail=50, ttl=None, max_age=60.0)
        return CachedAdapter(self.inner, Coherence(CacheClient(lambda: self.redis), policy), uuid.uuid4().bytes)


class Bounded(Cached):
    """As it is, but for the exceptions."""

    mode = "bounded"
    locals().update(dict.fromkeys(EXCEPTIONS))

    def test_exceptions_are_clauses(self) -> None:
        assert all(callable(getattr(AdapterConformance, name)) for name in EXCEPTIONS)


class TestStrictOverMemory(Cached, TestMemoryAdapter):
    def make_workspace(self, slug: str) -> None:
        assert self.adapter is not None
        self.inner.add_workspace(slug)


class TestBoundedOverMemory(Bounded, TestMemoryAdapter):
    def make_workspace(self, slug: str) -> None:
        assert self.adapter is not None
        self.inner.add_workspace(slug)


@pytest.mark.postgresql
class TestStrictOverDjango(Cached, TestDjangoAdapter):
    """As most conversations are kept."""


@pytest.mark.postgresql
class TestBoundedOverDjango(Bounded, TestDjangoAdapter):
    """Of which every read but the first is of the cache, where there is nothing else to see."""
