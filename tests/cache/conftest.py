"""A Redis that these tests alone use, so that what it counts is theirs, and both modes of the cache."""

from collections.abc import Iterator

import pytest
from redis import Redis

from tests.cache.caching import caching
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
    """A client beside the cache, to see what Redis holds."""
    with Redis.from_url(shared_server.url) as client:
        client.flushall()
        yield client


@pytest.fixture(params=["strict", "bounded"])
def each_mode(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def cached(each_mode: str, client: Redis, shared_server: Server) -> Iterator[str]:
    """The cache at work, in each mode."""
    with caching(each_mode, shared_server.url):
        yield each_mode
