"""What every test gets: an empty Redis database or none at all, an event loop for coroutines, a hypothesis profile."""

import inspect
import socket
from collections.abc import Iterator
from typing import NoReturn

import pytest
from asgiref.sync import async_to_sync
from django.apps import apps
from django_redis import get_redis_connection
from hypothesis import HealthCheck, Phase, settings as hypothesis_settings
from redis import Redis

from chat_memory import metrics
from tests.emptying import emptied_by_deletes  # noqa: F401  # a fixture of every test
from tests.patience import caches_end_with_their_test, impatient, patient_cache  # noqa: F401  # fixtures of every test
from tests.servers import start_redis
from tests.servers.plugin import is_serverless
from tests.tenancy import _within_one_workspace, tenancy_watch  # noqa: F401  # fixtures of every test

SERVED = frozenset({"db", "transactional_db", "redis_client", "lone_redis"})
"""The fixtures that give a test a server."""

collect_ignore = ["browser", *(name for name in ("search", "vectors") if not apps.is_installed(f"chat_memory.{name}"))]
"""The browser's tests need one and a library of its own, so they are run by their name alone: ``tox run -e browser``.
Those of a sub-app run under settings of their own, in which it is installed."""

# The machines of a test run are shared, and an example that is slow, or slow to draw, is not a wrong one.
hypothesis_settings.register_profile(
    "suite", deadline=None, max_examples=25, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.register_profile("deep", hypothesis_settings.get_profile("suite"), max_examples=2000)
hypothesis_settings.register_profile(  # asks for no least example
    "unshrunk", hypothesis_settings.get_profile("suite"), phases=[Phase.generate], database=None
)
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


@pytest.fixture
def lone_redis() -> Iterator[Redis]:
    """The client of a Redis that this test alone uses: what a server counts, it counts for all its databases."""
    with start_redis() as server, Redis.from_url(server.url) as client:
        yield client


@pytest.fixture(scope="session", autouse=True)
def _no_counts_flushed_in_the_background() -> None:
    """Ten seconds after some test they would come into the Redis of another."""
    metrics.sum_up_with(None)


@pytest.fixture(autouse=True)
def _servers_as_the_folder_says(request: pytest.FixtureRequest) -> None:
    """A test of a folder that needs no server reaches none; every other one leaves Redis empty."""
    request.getfixturevalue("_no_server" if is_serverless(request.path) else "_redis_left_empty")


@pytest.fixture
def _no_server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails a test that wants a server; without this it would pass only where there happens to be one."""
    if request.node.get_closest_marker("django_db") or SERVED.intersection(request.fixturenames):
        pytest.fail("this test uses a database or Redis: it belongs into tests/integration")
    monkeypatch.setattr(socket.socket, "connect", _refuse_connection)


@pytest.fixture
def _redis_left_empty(redis_client: Redis) -> Iterator[None]:
    yield
    redis_client.flushdb()


def _refuse_connection(_socket: socket.socket, address: object) -> NoReturn:
    pytest.fail(f"this test connects to {address}: it belongs into tests/integration")
