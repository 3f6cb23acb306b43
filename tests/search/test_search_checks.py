"""The sub-app's system checks, its migrations, and what it costs to have it."""

import pytest
from django.core.checks import run_checks
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from chat_memory import Message, conversation
from chat_memory.search import checks
from chat_memory.sessions import search
from tests.findings import Refusing

APP = "chat_memory_search"


def findings_of(*numbers: str) -> list[tuple[str | None, str]]:
    """The findings of these ids, with their messages."""
    ids = {f"chat_memory.{number}" for number in numbers}
    return [(each.id, each.msg) for each in run_checks(databases=["default"]) if each.id in ids]


@pytest.mark.django_db
def test_a_database_as_it_should_be_is_no_finding() -> None:
    assert findings_of("E014", "E015", "W005") == []
    assert checks.check_index() == checks.check_languages() == []  # without --database nothing is asked


@pytest.mark.django_db(transaction=True)
def test_an_app_that_is_not_migrated_is_found_and_a_migration_can_be_undone() -> None:
    def tables() -> list[str]:
        return [name for name in connection.introspection.table_names() if name.startswith(f"{APP}_")]

    before = tables()
    assert before
    call_command("migrate", APP, "zero", verbosity=0)
    try:
        assert tables() == []
        assert [number for number, _text in findings_of("E014", "W005")] == ["chat_memory.W005"]
    finally:
        call_command("migrate", APP, verbosity=0)
    assert tables() == before
    conversation("k", "acme").append(Message.user("bread"))
    assert [each.key for each in search("bread", "acme").results] == ["k"]


@pytest.mark.django_db(transaction=True)
def test_a_router_that_refuses_the_tables_is_named_with_the_way_out(settings) -> None:
    """``migrate`` notes the migrations as done where a router refuses their tables, so that a second one makes none."""

    def hints() -> list[str]:
        found = run_checks(databases=["default"])
        return [str(each.hint) for each in found if each.id == "chat_memory.W005" and "'default'" in each.msg]

    call_command("migrate", APP, "zero", verbosity=0)
    try:
        assert [hint[: len("Run migrate")] for hint in hints()] == ["Run migrate"]
        settings.DATABASE_ROUTERS = [Refusing(APP)]
        call_command("migrate", APP, verbosity=0)
        (hint,) = hints()
        assert f"Let DATABASE_ROUTERS allow '{APP}' in 'default'" in hint
        assert f"migrate {APP} zero --fake" in hint
        settings.DATABASE_ROUTERS = []
    finally:
        call_command("migrate", APP, "zero", fake=True, verbosity=0)
        call_command("migrate", APP, verbosity=0)
    assert hints() == []


@pytest.mark.django_db
def test_no_migration_is_missing() -> None:
    call_command("makemigrations", APP, check=True, dry_run=True, verbosity=0)


@pytest.mark.sqlite
@pytest.mark.django_db
def test_an_sqlite_without_fts5_is_found(monkeypatch) -> None:
    monkeypatch.setattr(checks, "_has_fts5", lambda _connection: False)
    assert [number for number, _text in findings_of("E014")] == ["chat_memory.E014"]


@pytest.mark.postgresql
@pytest.mark.django_db
def test_a_language_that_the_database_does_not_have_is_found(settings) -> None:
    settings.CHAT_MEMORY = {"SEARCH_CONFIG": {"acme": "klingon", "*": "german"}}
    assert [(number, "'klingon'" in text) for number, text in findings_of("E015")] == [("chat_memory.E015", True)]
    settings.CHAT_MEMORY = {"SEARCH_CONFIG": "no such; name"}
    assert findings_of("E015") == []
    assert [number for number, _text in findings_of("E003")] == ["chat_memory.E003"]


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_an_append_is_one_statement_as_it_is_without() -> None:
    chat = conversation("k", "acme")
    chat.append(Message.user("the first of this process asks for the name of the database too"))
    for size in (1, 3, 50):
        with CaptureQueriesContext(connection) as queries:
            chat.append(*(Message.user("bread") for _number in range(size)))
        assert len(queries) == 1, queries.captured_queries
