"""What every test gets: an empty Redis database, an event loop for coroutines, a hypothesis profile."""

import inspect
from collections.abc import Iterator

import pytest
from asgiref.sync import async_to_sync
from django_redis import get_redis_connection
from hypothesis import settings as hypothesis_settings
from redis import Redis

from chat_memory import metrics
from tests.tenancy import _within_one_workspace, tenancy_watch  # noqa: F401  # fixtures of every test

# No deadlines: the machines of a test run are shared, and a slow example is not a wrong one.
hypothesis_settings.register_profile("suite", deadline=None, max_examples=50, print_blob=True)
hypothesis_settings.register_profile("deep", hypothesis_settings.get_profile("suite"), max_examples=2000)
hypothesis_settings.load_profile("suite")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Runs a coroutine test as Django's own TestCase does: its ORM calls come back to this thread's connection."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    wanted = inspect.signature(pyfuncitem.obj).parameters
    async_to_sync(pyfuncitem.obj)(**{name: pyfuncitem.funcargs[name] for name in wanted})
    return True


@pytest.fixture(scope="session")
def redis_client() -> Redis:
    """The client of this worker's own Redis database."""
    client: Redis = get_redis_connection("default")
    return client


@pytest.fixture(scope="session", autouse=True)
def _no_counts_flushed_in_the_background() -> None:
    """Ten seconds after some test they would come into the Redis of another."""
    metrics.sum_up_with(None)


@pytest.fixture(autouse=True)
def _redis_left_empty(redis_client: Redis) -> Iterator[None]:
    yield
    redis_client.flushdb()
