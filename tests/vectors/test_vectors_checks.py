"""The sub-app's system checks and its migration, on a database with pgvector and on one without."""

import sys

import pytest
from django.core.checks import run_checks
from django.core.management import call_command
from django.db import connection, connections

from chat_memory import NotSupported, conversation
from chat_memory.checks import configuration
from chat_memory.vectors import checks
from chat_memory.vectors.comparing import by_pgvector
from tests.conversations import say
from tests.findings import Refusing
from tests.vectors.conftest import column_type
from tests.vectors.looking import saying

APP = "chat_memory_vectors"


def found_of(*numbers: str) -> list[str]:
    """Which of these ids are found."""
    ids = {f"chat_memory.{number}": number for number in numbers}
    return [ids[str(each.id)] for each in run_checks(databases=["default"]) if each.id in ids]


def is_available() -> bool:
    """Whether the server has the extension."""
    if connection.vendor != "postgresql":
        return False
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_available_extensions WHERE name = 'vector'")
        return bool(cursor.fetchone()[0])


@pytest.mark.django_db
def test_the_table_is_made_as_the_server_allows() -> None:
    """The tests' user is a superuser; the server that the wheel carries has the extension, an installed one may not."""
    kinds = {True: "vector", False: "real[]" if connection.vendor == "postgresql" else "blob"}
    assert column_type() == kinds[is_available()]
    assert by_pgvector(connections["default"]) == is_available()


@pytest.mark.django_db
def test_a_database_as_it_should_be_is_no_finding() -> None:
    assert found_of("E016", "W006", "W007", "W001") == []
    assert checks.check_table() == []  # without --database nothing is asked
    assert configuration.check_unread() == []


@pytest.mark.django_db(transaction=True)
def test_an_app_that_is_not_migrated_is_found_and_a_migration_can_be_undone() -> None:
    before = column_type()
    call_command("migrate", APP, "zero", verbosity=0)
    try:
        assert [name for name in connection.introspection.table_names() if name.startswith(f"{APP}_")] == []
        assert found_of("E016", "W006", "W007") == ["W006"]
    finally:
        call_command("migrate", APP, verbosity=0)
    assert column_type() == before


@pytest.mark.django_db(transaction=True)
def test_a_router_that_refuses_the_tables_is_named_with_the_way_out(settings) -> None:
    """``migrate`` notes the migrations as done where a router refuses their tables, so that a second one makes none."""

    def hints() -> list[str]:
        found = run_checks(databases=["default"])
        return [str(each.hint) for each in found if each.id == "chat_memory.W006" and "'default'" in each.msg]

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
    say("bread", "soup")
    assert saying(conversation("k", "acme").relevant("bread", 1)) == ["bread"]


@pytest.mark.django_db
def test_no_migration_is_missing() -> None:
    call_command("makemigrations", APP, check=True, dry_run=True, verbosity=0)


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_a_table_from_before_the_extension_is_found_and_changed_as_the_hint_says(without_pgvector: None) -> None:
    say("bread", "soup", "onion")
    found = conversation("k", "acme").relevant("bread", 1)
    assert (saying(found), by_pgvector(connections["default"])) == (["bread"], False)
    warnings = [each for each in run_checks(databases=["default"]) if each.id == "chat_memory.W007"]
    assert len(warnings) == is_available()
    for warning in warnings:
        with connection.cursor() as cursor:
            cursor.execute(str(warning.hint).partition("then ")[2].rstrip("."))
        assert by_pgvector(connections["default"])
        assert conversation("k", "acme").relevant("bread", 1) == found


@pytest.mark.django_db(transaction=True)
def test_without_numpy_there_is_an_error_where_it_is_needed(monkeypatch, without_pgvector: None) -> None:
    say("bread", "soup")
    monkeypatch.setitem(sys.modules, "numpy", None)
    assert found_of("E016") == ["E016"]
    with pytest.raises(NotSupported, match="install the extra 'vectors'"):
        conversation("k", "acme").relevant("bread", 1)


@pytest.mark.django_db(transaction=True)
def test_with_pgvector_no_numpy_is_needed(monkeypatch) -> None:
    if not is_available():
        return  # the other databases are the test above
    say("bread", "soup")
    monkeypatch.setitem(sys.modules, "numpy", None)
    assert found_of("E016") == []
    assert saying(conversation("k", "acme").relevant("bread", 1)) == ["bread"]
