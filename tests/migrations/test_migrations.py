"""The migrations say what the models say, on every Django of the matrix, and every one of them can be undone."""

from collections.abc import Iterator

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from chat_memory import Message, conversation

APP = "chat_memory"


@pytest.mark.django_db
def test_no_migration_is_missing() -> None:
    call_command("makemigrations", APP, check=True, dry_run=True, verbosity=0)


def migration_names() -> list[str]:
    """The migrations of the app, oldest first."""
    graph = MigrationExecutor(connection).loader.graph
    (leaf,) = graph.leaf_nodes(APP)
    return [name for app, name in graph.forwards_plan(leaf) if app == APP]


def constraints(table: str) -> dict[str, object]:
    """The constraints and indexes the database has on a table."""
    with connection.cursor() as cursor:
        return dict(connection.introspection.get_constraints(cursor, table))


def foreign_keys(table: str) -> set[tuple[str, ...]]:
    """The columns of its foreign keys, as the database has them."""
    return {tuple(found["columns"]) for found in constraints(table).values() if found["foreign_key"]}  # type: ignore[index]


@pytest.fixture
def at_the_newest() -> Iterator[None]:
    """Whatever the test does, the tables are whole for the next one."""
    yield
    call_command("migrate", run_syncdb=True, verbosity=0)  # an app without migrations that refers to ours is undone too


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("at_the_newest")
def test_every_migration_can_be_undone_and_done_again() -> None:
    """Back to nothing step by step, and forth; then the tables work as before."""
    before = constraints("chat_memory_message"), constraints("chat_memory_session")
    for name in [*reversed(migration_names()[:-1]), "zero"]:
        call_command("migrate", APP, name, verbosity=0)
    assert not [table for table in connection.introspection.table_names() if table.startswith("chat_memory_")]
    for name in migration_names():
        call_command("migrate", APP, name, verbosity=0)
    assert (constraints("chat_memory_message"), constraints("chat_memory_session")) == before
    assert conversation("k").append(Message.user("x")).first_seq == 1


@pytest.mark.postgresql
@pytest.mark.django_db
def test_postgresql_binds_a_message_to_its_tenant() -> None:
    """DESIGN section 4, Tenancy: one foreign key over both columns, in place of the weaker one."""
    assert {columns for columns in foreign_keys("chat_memory_message") if "session_id" in columns} == {
        ("workspace_id", "session_id")
    }


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_a_message_of_another_tenants_session_is_refused() -> None:
    """Whatever a statement gets wrong, the database does not store it."""
    conversation("k", workspace="acme").append(Message.user("x"))
    conversation("k", workspace="rival").append(Message.user("x"))
    with pytest.raises(Exception, match="chat_memory_message_tenant"), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE chat_memory_message SET workspace_id = (SELECT id FROM chat_memory_workspace WHERE slug = 'rival')"
        )
