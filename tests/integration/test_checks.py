"""System checks that ask a server, and that `manage.py check` runs all of them."""

from collections.abc import Iterator

import pytest
from django.core.checks import run_checks
from redis import Redis

from chat_memory.checks import cache
from tests.findings import ids, ids_of_ours
from tests.integration.outages import redis_at
from tests.servers import Server, start_redis

pytestmark = pytest.mark.once

LOCMEM = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}


@pytest.fixture(scope="module")
def configurable() -> Iterator[Server]:
    """A Redis whose memory settings these tests change."""
    with start_redis() as server:
        yield server


@pytest.mark.parametrize(
    ("policy", "memory", "found"),
    [
        ("noeviction", "0", ["W004"]),
        ("noeviction", "64mb", ["W004"]),
        ("volatile-lru", "64mb", ["W004"]),
        ("allkeys-lru", "0", ["W004"]),
        ("allkeys-lru", "64mb", []),
        ("allkeys-lfu", "64mb", []),
    ],
)
def test_entries_that_never_expire_must_be_evicted(
    settings, configurable: Server, policy: str, memory: str, found: list[str]
) -> None:
    """Keys without a time to live stay where the policy spares them, until Redis refuses every write."""
    with Redis.from_url(configurable.url) as client:
        client.config_set("maxmemory-policy", policy)
        client.config_set("maxmemory", memory)
    settings.CACHES, settings.CHAT_MEMORY = redis_at(configurable.url), {"CACHE_TTL": None}
    assert ids(cache.check_eviction()) == found
    settings.CHAT_MEMORY = {"CACHE_TTL": 60}
    assert cache.check_eviction() == []
    settings.CHAT_MEMORY = {"CACHE": "bounded", "CACHE_TTL": None}
    assert cache.check_eviction() == []


def test_a_redis_that_hides_its_settings_or_is_gone_is_no_finding(settings) -> None:
    settings.CHAT_MEMORY = {"CACHE_TTL": None}
    with start_redis("--rename-command", "CONFIG", "") as server:
        settings.CACHES = redis_at(server.url)
        assert cache.check_eviction() == []
    assert cache.check_eviction() == []


@pytest.mark.django_db
@pytest.mark.parametrize(("use_tz", "expected"), [(True, set()), (False, {"E008"})])
def test_e7_times_have_zones(settings, use_tz: bool, expected: set[str]) -> None:
    """Some of Django's own checks, which run beside ours, ask the database."""
    settings.USE_TZ = use_tz
    assert ids_of_ours(run_checks()) == expected


@pytest.mark.django_db
def test_checks_are_registered(settings) -> None:
    """`manage.py check` runs those of the settings, `check --deploy` those of production too."""
    settings.CHAT_MEMORY, settings.CACHES = {"RECORDER": "no.where", "TYPO": 1}, LOCMEM
    assert ids_of_ours(run_checks()) == {"E002"}
    settings.CHAT_MEMORY = {"RECORDER": "no.where"}
    assert "E006" in ids_of_ours(run_checks())
    assert {"E006", "W002"} <= ids_of_ours(run_checks(include_deployment_checks=True))
    settings.CHAT_MEMORY = {"CACHE": "strict"}
    assert "E007" in ids_of_ours(run_checks())
