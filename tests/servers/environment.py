"""Names the servers of a whole run in DATABASE_URL and REDIS_URL, starting those the environment does not name."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import quote, urlsplit

from redis import Redis, RedisError

from tests.servers.postgres import start_postgres
from tests.servers.process import Server, private_directory
from tests.servers.programs import ServerUnavailable
from tests.servers.redis import start_redis

DATABASES = ("postgresql", "sqlite")
NOWHERE = "redis://127.0.0.1:1/0"


@contextmanager
def serve(database: str) -> Iterator[list[Server]]:
    """The servers started for a run over that database, one of DATABASES; the environment is put back at the end.

    Raises:
        ServerUnavailable: a server is missing, or the environment names one that does not fit.
    """
    if database not in DATABASES:
        raise ServerUnavailable(f"CHAT_MEMORY_TEST_DB is {database!r}, which is none of {', '.join(DATABASES)}.")
    with ExitStack() as stack:
        started: list[Server] = []
        if database == "sqlite":
            directory = stack.enter_context(private_directory("chat-memory-sqlite-"))
            _name(stack, "DATABASE_URL", f"sqlite:///{quote(str(directory / 'chat_memory.sqlite3'))}")
        elif not os.environ.get("DATABASE_URL"):
            started.append(stack.enter_context(start_postgres()))
            _name(stack, "DATABASE_URL", started[-1].url)
        elif not urlsplit(os.environ["DATABASE_URL"]).scheme.startswith("postgres"):
            raise ServerUnavailable("DATABASE_URL must name a PostgreSQL; CHAT_MEMORY_TEST_DB=sqlite needs none.")
        if os.environ.get("REDIS_URL"):
            _refuse_unless_empty(os.environ["REDIS_URL"])
        else:
            started.append(stack.enter_context(start_redis()))
            _name(stack, "REDIS_URL", started[-1].url)
        yield started


@contextmanager
def serve_nothing() -> Iterator[None]:
    """A run without servers: the settings name an SQLite in memory, and a Redis where none listens."""
    with ExitStack() as stack:
        _name(stack, "DATABASE_URL", "sqlite://:memory:")
        _name(stack, "REDIS_URL", NOWHERE)
        yield


def redis_url_of_worker(url: str, worker: int) -> str:
    """The address of a worker's own logical database, counted upwards from the one after the run's."""
    return urlsplit(url)._replace(path=f"/{_redis_database(url) + 1 + worker}").geturl()


def _redis_database(url: str) -> int:
    parts = urlsplit(url)
    number = parts.path.strip("/") or "0"
    if parts.scheme not in ("redis", "rediss") or not number.isdigit():
        raise ServerUnavailable("REDIS_URL must look like redis://host:port/0: each worker takes a number of its own.")
    return int(number)


def _refuse_unless_empty(url: str) -> None:
    """Tests flush their databases, and this one was not started for them."""
    first = _redis_database(url)
    try:
        with Redis.from_url(url) as client:
            filled = [int(name.removeprefix("db")) for name in client.info("keyspace")]
    except RedisError as error:
        raise ServerUnavailable(f"REDIS_URL names a Redis that does not answer: {error}") from error
    if any(number >= first for number in filled):
        raise ServerUnavailable(
            f"Database {max(filled)} of REDIS_URL's server is not empty, and tests flush database {first} and, with "
            "several workers, those after it: name a number above all that are in use, or unset REDIS_URL."
        )


def _name(stack: ExitStack, variable: str, value: str) -> None:
    before = os.environ.get(variable)
    os.environ[variable] = value
    if before is None:
        stack.callback(os.environ.pop, variable, None)
    else:
        stack.callback(os.environ.__setitem__, variable, before)
