"""Health where the database is the trouble: an alias that no test case knows, so that none of them guards it."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from psycopg import sql

from chat_memory.health import PATIENCE, Health, health
from tests.integration.databases import database, postgresql
from tests.integration.outages import SLACK, frozen, refusing
from tests.servers import Server
from tests.servers.postgres import start_postgres
from tests.waiting import eventually

pytestmark = pytest.mark.once


@pytest.fixture(autouse=True)
def _unblocked(django_db_blocker) -> Iterator[None]:
    with django_db_blocker.unblock():
        yield


@pytest.fixture
def empty_server() -> Iterator[Server]:
    """A PostgreSQL with an empty database."""
    with start_postgres() as started:
        yield started


def test_a_database_that_refuses_is_unhealthy() -> None:
    with refusing() as address, database(**postgresql(f"postgres://nobody@{address}/secret")):
        found = health("other")
        assert (found.status, found.database.ok, found.cache.ok) == ("unhealthy", False, True)
        assert found.message == "The database does not answer: OperationalError."
        assert "secret" not in str(found)


@pytest.mark.parametrize("vendor", ["sqlite", "postgresql"])
def test_f16_a_database_without_our_tables_says_so(vendor: str, empty_server: Server) -> None:
    sqlite = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
    with database(**(sqlite if vendor == "sqlite" else postgresql(empty_server.url))):
        found = health("other")
    assert (found.status, found.database.ok, found.database.reason) == ("unhealthy", False, "no such table")
    kind = "OperationalError" if vendor == "sqlite" else "ProgrammingError"
    assert found.message == f"The database answers with an error: no such table ({kind})."


def test_f16_what_postgresql_refuses_is_said_in_words(empty_server: Server) -> None:
    """Without the names and the passwords that its own text may have."""
    address = postgresql(empty_server.url)
    with psycopg.connect(empty_server.url, autocommit=True) as root:
        root.execute("CREATE ROLE guest LOGIN PASSWORD 'right'")
        root.execute("CREATE DATABASE ours")
        with database(**address | {"NAME": "ours"}):
            call_command("migrate", "chat_memory", database="other", verbosity=0)
        (file,) = root.execute("SHOW hba_file").fetchone() or ("",)
        rules = "VALUES ('host all guest 127.0.0.1/32 password'), ('host all all 127.0.0.1/32 trust')"
        refused = {
            "no such database": {"NAME": "secret_name"},
            "no such role": {"USER": "secret_user"},
            "permission denied": {"NAME": "ours", "USER": "guest"},
        }
        for words, given in refused.items():
            check_said(words, address | given)
        root.execute(sql.SQL("COPY ({}) TO {}").format(sql.SQL(rules), sql.Literal(file)))
        root.execute("SELECT pg_reload_conf()")
        wrong = address | {"USER": "guest", "PASSWORD": "secret"}
        eventually(lambda: health_of(wrong).database.reason != "no such table")
        check_said("password authentication failed", wrong)


def check_said(words: str, given: dict[str, Any]) -> None:
    found = health_of(given)
    assert found.database.reason == words
    assert found.message.startswith(f"The database answers with an error: {words} (")
    assert "secret" not in str(found)


def health_of(given: dict[str, Any]) -> Health:
    with database(**given):
        return health("other")


def test_f16_a_damaged_file_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "secret.sqlite3").write_text("no database, but a text that is longer than the head of a file" * 10)
    sqlite = {"ENGINE": "django.db.backends.sqlite3"}
    check_said("file is not a database", sqlite | {"NAME": str(tmp_path / "secret.sqlite3")})
    missing = health_of(sqlite | {"NAME": str(tmp_path / "no" / "secret.sqlite3")})
    assert missing.message == "The database does not answer: OperationalError."


def test_a_database_in_memory_is_asked_where_it_is() -> None:
    """Another thread would find an empty one."""
    with database(ENGINE="django.db.backends.sqlite3", NAME=":memory:"):
        call_command("migrate", "chat_memory", database="other", verbosity=0)
        assert health("other").status == "healthy"


def test_an_alias_that_does_not_exist_is_unhealthy() -> None:
    found = health("nowhere")
    assert (found.status, found.message) == ("unhealthy", "The settings are invalid: ConnectionDoesNotExist.")


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
