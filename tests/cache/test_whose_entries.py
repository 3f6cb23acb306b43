"""An entry belongs to one workspace row of one database, whatever both are called now, or were called before."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from redis import Redis

from chat_memory import conversation
from chat_memory.models import DatabaseToken, Session, Workspace
from tests.acceptance.admin_world import page, signed_in, user
from tests.cache.caching import caching, key_of, newest_texts, statements, warmed
from tests.cache.test_expectations import another_process
from tests.conversations import chat, contents, say
from tests.empty_databases import postgresql_database
from tests.locks import locked_by_another
from tests.servers import Server

pytestmark = pytest.mark.django_db(transaction=True)
ROOT = Path(__file__).resolve().parents[2]
OF_ONE_NAME = "chat_memory_of_one_name"
DEPLOYMENT = """
import sys, django
django.setup()
from django.conf import settings
from chat_memory import Message, conversation
settings.CHAT_MEMORY = {"CACHE": sys.argv[1], "CACHE_MAX_AGE": 3600}
chat = conversation("k", workspace="acme")
if sys.argv[2:]:
    chat.append(Message.user(sys.argv[2]))
print([message.content for message in chat.tail(5)])
"""


def by_a_save(workspace: Workspace) -> None:
    workspace.slug = "renamed"
    workspace.save()


def save_the_field(workspace: Workspace) -> None:
    Workspace(pk=workspace.pk, slug="renamed").save(update_fields=["slug"])


def by_an_update(workspace: Workspace) -> None:
    Workspace.objects.filter(slug="acme").update(slug="renamed")


def bulk_update(workspace: Workspace) -> None:
    workspace.slug = "renamed"
    Workspace.objects.bulk_update([workspace], ["slug"])


def in_the_admin(workspace: Workspace) -> None:
    root = signed_in(user("root", is_staff=True, is_superuser=True))
    form = {"slug": "renamed", "name": "", "metadata": "{}", "members-TOTAL_FORMS": "0", "members-INITIAL_FORMS": "0"}
    assert root.post(page("workspace_change", workspace), form).status_code in {200, 302}
    Workspace.objects.filter(pk=workspace.pk, slug="acme").update(slug="renamed")  # where the form does not offer it


def in_a_transaction(workspace: Workspace) -> None:
    with transaction.atomic():
        by_a_save(workspace)
        newest_texts()


def deleted_by_a_queryset(workspace: Workspace) -> None:
    Workspace.objects.filter(pk=workspace.pk).delete()


def deleted_by_itself(workspace: Workspace) -> None:
    workspace.delete()


def by_a_flush(workspace: Workspace) -> None:
    call_command("flush", interactive=False, verbosity=0)


def by_sql(workspace: Workspace) -> None:
    """Nobody is told of it: whoever does so gives the database another name."""
    with connection.cursor() as cursor:
        for table in ("message", "session", "workspace"):
            cursor.execute(f"DELETE FROM chat_memory_{table}")  # noqa: S608  # of our own tables
    DatabaseToken.objects.all().delete()


WAYS: list[Callable[[Workspace], None]] = [
    by_a_save,
    save_the_field,
    by_an_update,
    bulk_update,
    in_the_admin,
    in_a_transaction,
    deleted_by_a_queryset,
    deleted_by_itself,
    by_a_flush,
    by_sql,
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a9_the_next_owner_of_a_slug_reads_nothing_of_the_last(
    cached: str, client: Redis, way: Callable[[Workspace], None]
) -> None:
    """Neither of the main line nor of a branch, by each verb that reads."""
    warmed(client, "SECRET")
    chat().fork("draft", at=1)
    assert newest_texts(branch="draft") == newest_texts(branch="main") == ["SECRET"]
    way(Workspace.objects.get(slug="acme"))
    Workspace.objects.create(slug="acme")
    for branch in ({}, {"branch": "main"}):
        assert newest_texts(**branch) == []
        assert contents(chat(**branch).window(turns=5)) == []
        assert chat(**branch).tail_json(5) == b"[]"
    say("ours")
    assert newest_texts() == ["ours"]


def test_a9_slugs_are_exchanged(cached: str) -> None:
    """Each workspace keeps its own words under its new slug."""
    for slug in ("acme", "other"):
        say(slug, to=chat(workspace=slug))
        assert newest_texts(workspace=slug) == [slug]
    acme, other = Workspace.objects.order_by("slug")
    for workspace, slug in ((acme, "between"), (other, "acme"), (acme, "other")):
        workspace.slug = slug
        workspace.save()
        newest_texts(workspace=slug)
    assert [newest_texts(workspace=slug) for slug in ("acme", "other")] == [["other"], ["acme"]]


def test_a9_a_rename_that_is_rolled_back_costs_no_entry(cached: str, client: Redis) -> None:
    warmed(client, "a")
    with transaction.atomic():
        Workspace.objects.filter(slug="acme").update(slug="renamed")
        transaction.set_rollback(True)
    assert client.dbsize() == 1
    assert newest_texts() == ["a"]


def test_a9_a_handle_from_before_stores_nothing_under_a_slug_that_is_anothers_now(cached: str, client: Redis) -> None:
    """It goes on with its own conversation, which it knows by its id; it fills nothing for others."""
    say("SECRET")
    before = chat()
    row = Session.objects.get(key="k").history()
    assert contents(before.tail(5)) == contents(row.tail(5)) == ["SECRET"]
    Workspace.objects.filter(slug="acme").update(slug="renamed")
    for _ in range(2):
        assert contents(before.tail(5)) == contents(row.tail(5)) == ["SECRET"]
    Workspace.objects.create(slug="acme")
    for _ in range(2):
        assert contents(before.tail(5)) == contents(row.tail(5)) == ["SECRET"]
        assert newest_texts() == []
    say("ours")
    for _ in range(2):
        assert newest_texts() == ["ours"]
        assert contents(before.tail(5)) == contents(row.tail(5)) == ["SECRET"]
    assert newest_texts(workspace="renamed") == ["SECRET"]


@pytest.mark.parametrize("way", ["delete", "queryset"])
def test_a9_a_later_session_of_the_same_key_has_its_own_words_alone(cached: str, way: str) -> None:
    say("SECRET")
    newest_texts()
    if way == "delete":
        chat().delete()
    else:
        Session.objects.filter(workspace__slug="acme", key="k").delete()
    assert newest_texts() == []
    say("ours")
    assert newest_texts() == ["ours"]


@contextmanager
def reached_by(**given: Any) -> Iterator[None]:
    """The settings of the alias are these meanwhile."""
    settings, before = connection.settings_dict, dict(connection.settings_dict)
    connection.close()
    settings.update(given)
    try:
        yield
    finally:
        connection.close()
        settings.update(before)


@contextmanager
def an_address(folder: Path) -> Iterator[Callable[[str], None]]:
    """An address of databases, and a function that has the one of some name answer there, made where there is none."""
    if connection.vendor == "sqlite":
        copied_tables(folder / "empty.sqlite3")
        with reached_by(NAME=str(folder / "db.sqlite3")):
            yield lambda name: _put_file(folder, name)
    else:
        ours = connection.settings_dict["NAME"]
        DatabaseToken.objects.all().delete()
        with postgresql_database(OF_ONE_NAME) as given, reached_by(NAME=given["NAME"]):
            yield lambda _name: _recreate(ours)


def copied_tables(file: Path) -> None:
    """Our tables without rows in another file, which takes less time than migrations."""
    DatabaseToken.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute("VACUUM INTO %s", [str(file)])


def _put_file(folder: Path, name: str) -> None:
    connection.close()
    if not (folder / name).exists():
        shutil.copy(folder / "empty.sqlite3", folder / name)
    (folder / "db.sqlite3").unlink(missing_ok=True)
    (folder / "db.sqlite3").hardlink_to(folder / name)
    connection.ensure_connection()


def _recreate(template: str) -> None:
    """On PostgreSQL each is a new one: its name, its server and its login stay as they are."""
    connection.close()
    with connection._nodb_cursor() as cursor:  # as Django's own test runner does
        cursor.execute(f"DROP DATABASE {OF_ONE_NAME}")
        cursor.execute(f"CREATE DATABASE {OF_ONE_NAME} TEMPLATE {template}")
    connection.ensure_connection()


def test_d7_another_database_under_the_same_name_has_no_entry_of_the_first(cached: str, tmp_path: Path) -> None:
    """A process that outlives its database, too: whoever answers now is asked who it is."""
    with an_address(tmp_path) as let_answer:
        let_answer("one")
        say("words of one")
        assert newest_texts() == newest_texts() == ["words of one"]
        let_answer("two")
        assert newest_texts() == []
        say("words of two")
        assert newest_texts() == newest_texts() == ["words of two"]


@pytest.mark.sqlite
def test_d7_a_database_that_comes_back_has_its_entries_still(cached: str, client: Redis, tmp_path: Path) -> None:
    """The new connection tells, and nothing else does."""
    with an_address(tmp_path) as let_answer:
        for name in ("one", "two"):
            let_answer(name)
            say(name)
            newest_texts()
        for name in ("one", "two"):
            let_answer(name)
            assert newest_texts() == [name]
    assert client.dbsize() == 2


@pytest.mark.sqlite
def test_d7_two_deployments_of_equal_settings_over_files_of_the_same_name(
    client: Redis, shared_server: Server, tmp_path: Path
) -> None:
    """bounded: one secret, one Redis, one relative path, and two working directories."""
    answers = []
    for folder, *words in (("a", "words of A"), ("b",)):
        place = tmp_path / folder
        place.mkdir()
        copied_tables(place / "db.sqlite3")
        environment = os.environ | {
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "PYTHONPATH": str(ROOT),
            "DATABASE_URL": "sqlite:///db.sqlite3",
            "REDIS_URL": shared_server.url,
        }
        command = [sys.executable, "-c", DEPLOYMENT, "bounded", *words]
        ended = subprocess.run(
            command, cwd=place, env=environment, capture_output=True, text=True, check=False, timeout=60
        )
        assert ended.returncode == 0, ended.stderr
        answers.append(ended.stdout.strip())
    assert answers == ["['words of A']", "[]"]


def test_d7_one_database_reached_in_two_ways_has_one_entry(cached: str, client: Redis, tmp_path: Path) -> None:
    """What is taken away through one of them is gone from the other."""
    elsewhere = {"HOST": "localhost"}
    if connection.vendor == "sqlite":
        (tmp_path / "link.sqlite3").symlink_to(connection.settings_dict["NAME"])
        elsewhere = {"NAME": str(tmp_path / "link.sqlite3")}
    key = warmed(client, "a", "b")
    with reached_by(**elsewhere), another_process():
        assert newest_texts() == ["a", "b"]
        assert key_of(client) == key
        chat().redact(1)
    assert newest_texts()[1:] == ["b"]
    assert "a" not in newest_texts()


def test_d7_the_database_is_asked_for_its_name_once_for_a_connection(cached: str, client: Redis) -> None:
    """A hit costs what it did: in bounded nothing, and in strict the row alone."""
    warmed(client, "a")
    hit = {"strict": 1, "bounded": 0}[cached]
    assert [len(statements(newest_texts)) for _ in range(3)] == [hit] * 3
    connection.close()
    assert [len(statements(newest_texts)) for _ in range(3)] == [hit + 1, hit, hit]


def test_d7_a_transaction_makes_no_name(cached: str, client: Redis) -> None:
    """It might be rolled back; what it reads is right, and the next call outside makes the name."""
    say("a")
    DatabaseToken.objects.all().delete()
    with transaction.atomic():
        assert newest_texts() == newest_texts() == ["a"]
        assert not DatabaseToken.objects.exists()
        say("b")
        transaction.set_rollback(True)
    client.flushall()
    assert newest_texts() == ["a"]
    assert DatabaseToken.objects.count() == 1
    assert client.dbsize() == 1


@pytest.mark.postgresql
def test_d7_a_database_that_cannot_be_written_is_read(cached: str) -> None:
    """Without a name nothing that is cached can be found: a miss, and no error."""
    say("a")
    DatabaseToken.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
        try:
            assert newest_texts() == newest_texts() == ["a"]
            assert not DatabaseToken.objects.exists()
        finally:
            cursor.execute("SET default_transaction_read_only = off")


@pytest.mark.postgresql
def test_d7_a_name_that_another_transaction_is_making_fails_no_read(cached: str, settings: Any) -> None:
    """It waits as a write does, and then goes without the cache."""
    say("a")
    DatabaseToken.objects.all().delete()
    settings.CHAT_MEMORY = settings.CHAT_MEMORY | {"LOCK_TIMEOUT": 0.05}
    with locked_by_another("INSERT INTO chat_memory_databasetoken (id, token) VALUES (1, %s)", "f" * 32) as other:
        assert newest_texts() == ["a"]
        other.commit()
    assert newest_texts() == ["a"]
    assert DatabaseToken.objects.get().token == "f" * 32


def test_d7_a_new_token_makes_every_entry_unreadable(cached: str, client: Redis) -> None:
    """For a copy of a database beside the original, and after statements that went past the package."""
    warmed(client, "a")
    DatabaseToken.objects.all().delete()
    assert newest_texts() == ["a"]
    assert client.dbsize() == 2


def test_d9_nothing_is_left_for_ever(cached: str, client: Redis) -> None:
    """Every key has an end, whatever was done; with the sums of the counters as the only exception."""
    say("a")
    newest_texts()
    for key in ("absent", "k"):
        chat(key).tail(5)
    chat().fork("draft", at=1)
    newest_texts(branch="draft")
    Workspace.objects.filter(slug="acme").update(slug="renamed")
    conversation("k", workspace="renamed").tail(5)
    assert client.keys()
    assert all(client.pttl(key) > 0 for key in client.scan_iter())


def test_d8_no_key_tells_or_meets_a_name(client: Redis, shared_server: Server, settings: Any) -> None:
    """The secret and the prefix are in the digest; the version of the cache is not, so that a deployment keeps it."""
    keys = set()
    for secret in ("one", "two"):
        settings.SECRET_KEY = secret
        with caching("strict", shared_server.url):
            say("a")
            newest_texts()
    keys = {key.decode() for key in client.scan_iter()}
    assert len(keys) == 2
    assert all(key.startswith("cm:{") and len(key) == len("cm:{}") + 40 for key in keys)
    assert not any(word in key for key in keys for word in ("acme", ":k", "main"))
