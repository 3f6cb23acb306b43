"""System checks that ask the database: its encoding, its driver, and what is between."""

import io
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.core.checks import run_checks
from django.core.management import CommandError, call_command
from django.test import override_settings

from chat_memory import Message, conversation
from chat_memory.checks import database as checks
from chat_memory.health import health
from tests.findings import ids, ids_of_ours
from tests.integration.databases import database, pooler, postgresql
from tests.servers import Server, start_postgres

pytestmark = pytest.mark.once


@pytest.fixture(autouse=True)
def _unblocked(django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock():
        yield


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A PostgreSQL with a database in each encoding."""
    with start_postgres() as started:
        with psycopg.connect(started.url, autocommit=True) as connection:
            for encoding in ("LATIN1", "SQL_ASCII", "UTF8"):
                options = f"ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
                connection.execute(f"CREATE DATABASE {encoding} {options}")
        yield started


class ToOther:
    """Routes everything of ours to the alias ``other``."""

    def db_for_read(self, model: Any, **_hints: Any) -> str | None:
        return "other" if model._meta.app_label == "chat_memory" else None

    db_for_write = db_for_read


@pytest.mark.parametrize(("encoding", "found"), [("LATIN1", {"E010"}), ("SQL_ASCII", {"E010"}), ("UTF8", set())])
def test_r51_a_database_that_is_not_utf8_is_an_error(server: Server, encoding: str, found: set[str]) -> None:
    """With ``--database`` and by ``migrate``, and with ``--deploy``; a plain check asks no database."""
    with (
        database(**postgresql(server.url) | {"NAME": encoding.lower()}),
        override_settings(DATABASE_ROUTERS=[ToOther()]),
    ):
        assert ids_of_ours(run_checks()) == set()
        assert ids_of_ours(run_checks(databases=["default"])) == set()
        assert ids_of_ours(run_checks(databases=["default", "other"])) == found
        assert ids_of_ours(run_checks(include_deployment_checks=True)) == found
        if found:
            (error,) = checks.check_encoding(databases=["other"])
            assert encoding in error.msg
            with pytest.raises(CommandError, match=r"chat_memory\.E010"):
                call_command("check", databases=["other"], stdout=io.StringIO(), stderr=io.StringIO())


@pytest.mark.parametrize(
    ("encoding", "message"),
    [
        ("LATIN1", Message.user("\U0001f600")),
        ("SQL_ASCII", Message.user("漢" * 200)),  # whose title is over 200, in bytes
    ],
)
def test_r51_what_the_other_encodings_cannot_hold(server: Server, encoding: str, message: Message) -> None:
    """Why SQL_ASCII is an error too: it counts bytes, and knows no other than ASCII in JSON."""
    with database(**postgresql(server.url) | {"NAME": encoding.lower()}):
        call_command("migrate", "chat_memory", database="other", verbosity=0, skip_checks=True)
        with pytest.raises(Exception, match=r"equivalent|too long"):
            conversation("k", "acme", using="other").append(message)


def test_r51_a_database_that_cannot_be_asked_is_no_finding(server: Server) -> None:
    with (
        database(**postgresql(server.url) | {"NAME": "nowhere"}),
        override_settings(DATABASE_ROUTERS=[ToOther()]),
    ):
        assert ids_of_ours(run_checks(databases=["other"], include_deployment_checks=True)) == set()


@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize(("threshold", "found"), [(0, {"E012"}), (3, {"E012"}), (None, set())])
def test_f16_prepared_statements_through_a_pooler_are_found_whatever_debug_is(
    server: Server, threshold: int | None, found: set[str], debug: bool, settings: Any
) -> None:
    settings.DEBUG = debug
    with pooler(server.port) as port:
        behind = postgresql(server.url) | {"PORT": port, "NAME": "utf8", "OPTIONS": {"prepare_threshold": threshold}}
        with database(**behind), override_settings(DATABASE_ROUTERS=[ToOther()]):
            deployed = {"E010", "E011", "E012"} & ids_of_ours(run_checks(include_deployment_checks=True))
            assert deployed == found


def test_f16_prepared_statements_without_a_pooler_are_no_finding(server: Server) -> None:
    direct = postgresql(server.url) | {"NAME": "utf8", "OPTIONS": {"prepare_threshold": 0}}
    with database(**direct), override_settings(DATABASE_ROUTERS=[ToOther()]):
        assert checks.check_prepared() == []


def test_f16_health_behind_a_pooler_says_what_the_database_said(server: Server) -> None:
    with database(**postgresql(server.url) | {"NAME": "utf8"}):
        call_command("migrate", "chat_memory", database="other", verbosity=0)
    with pooler(server.port) as port:
        behind = postgresql(server.url) | {"PORT": port, "NAME": "utf8", "OPTIONS": {"prepare_threshold": 0}}
        with database(**behind):
            assert health("other").status == "healthy"
            found = health("other")
    assert found.message == "The database answers with an error: prepared statement already exists (ProgrammingError)."


def test_a_project_on_psycopg2_is_told(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """With DEBUG on, Django's own cursor hides it."""
    given = postgresql(server.url) | {"OPTIONS": {"prepare_threshold": 0}}
    with database(**given), override_settings(DATABASE_ROUTERS=[ToOther()]):
        assert checks.check_driver() == []
        monkeypatch.setattr("django.db.backends.postgresql.psycopg_any.is_psycopg3", False)
        assert ids(checks.check_driver()) == ["E011"]
        assert checks.check_prepared() == []
