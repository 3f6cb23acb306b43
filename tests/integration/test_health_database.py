"""Health where the database is the trouble: an alias that no test case knows, so that none of them guards it."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.core.management import call_command
from django.db import connections

from chat_memory.health import PATIENCE, health
from tests.integration.outages import SLACK, frozen, refusing
from tests.servers.postgres import start_postgres

pytestmark = pytest.mark.once


@pytest.fixture(autouse=True)
def _unblocked(django_db_blocker) -> Iterator[None]:
    with django_db_blocker.unblock():
        yield


@contextmanager
def database(**given: Any) -> Iterator[None]:
    """An alias `other` with these settings."""
    connections.settings["other"] = {**connections["default"].settings_dict, "OPTIONS": {}, **given}
    try:
        yield
    finally:
        other = connections["other"]
        other.close()
        if other.connection is not None:  # Django leaves a database in memory open
            other.connection.close()
        del connections["other"]
        del connections.settings["other"]


def postgresql(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": parts.hostname,
        "PORT": parts.port,
        "USER": parts.username,
        "PASSWORD": "",
        "NAME": parts.path.strip("/"),
    }


def test_a_database_that_refuses_is_unhealthy() -> None:
    with refusing() as address, database(**postgresql(f"postgres://nobody@{address}/secret")):
        found = health("other")
        assert (found.status, found.database.ok, found.cache.ok) == ("unhealthy", False, True)
        assert found.message == "The database does not answer: OperationalError."
        assert "secret" not in str(found)


def test_a_database_without_our_tables_is_unhealthy() -> None:
    with database(ENGINE="django.db.backends.sqlite3", NAME=":memory:"):
        assert health("other").status == "unhealthy"


def test_a_database_in_memory_is_asked_where_it_is() -> None:
    """Another thread would find an empty one."""
    with database(ENGINE="django.db.backends.sqlite3", NAME=":memory:"):
        call_command("migrate", "chat_memory", database="other", verbosity=0)
        assert health("other").status == "healthy"


def test_an_alias_that_does_not_exist_is_unhealthy() -> None:
    assert health("nowhere").status == "unhealthy"


def test_a_frozen_database_is_told_in_bounded_time() -> None:
    """Nothing ends a call to a frozen server: it is left to a thread, of which there is one for all who ask."""
    with start_postgres() as server, database(**postgresql(server.url)):
        call_command("migrate", "chat_memory", database="other", verbosity=0)
        assert health("other").status == "healthy"
        before = threading.active_count()
        with frozen(server):
            begin = time.perf_counter()
            found = [health("other").database.error for _ in range(2)]
            assert time.perf_counter() - begin < 2 * PATIENCE + SLACK
            assert found == ["TimeoutError", "TimeoutError"]
            assert threading.active_count() <= before + 1
        assert health("other").status == "healthy"
