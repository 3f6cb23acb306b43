"""A Redis that these tests alone use, so that what it counts is theirs, and both modes of the cache."""

import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from redis import Redis

from tests.cache.scene import caching
from tests.servers import Server, start_redis


@pytest.fixture(scope="session")
def shared_server() -> Iterator[Server]:
    with start_redis() as server:
        yield server


@pytest.fixture
def victim() -> Iterator[Server]:
    """A Redis that the test may freeze, kill or lock up."""
    with start_redis() as server:
        yield server


@pytest.fixture
def client(shared_server: Server) -> Iterator[Redis]:
    """A look behind the scene."""
    with Redis.from_url(shared_server.url) as client:
        client.flushall()
        yield client


@pytest.fixture(params=["strict", "bounded"])
def mode(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def cached(mode: str, client: Redis, shared_server: Server) -> Iterator[str]:
    """The cache at work, in each mode."""
    with caching(mode, shared_server.url):
        yield mode


@pytest.fixture
def frozen() -> Callable[[Server], AbstractContextManager[None]]:
    """Within it a server takes connections and answers nothing."""

    @contextmanager
    def stopped(server: Server) -> Iterator[None]:
        server.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            server.process.send_signal(signal.SIGCONT)

    return stopped
