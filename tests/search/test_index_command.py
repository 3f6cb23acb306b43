"""chat_memory_search_index fills the index with what was there before, and chat_memory_check says what is wrong."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from django.core.management import CommandError
from django.db import connection, connections, transaction

from chat_memory import Message, conversation
from chat_memory.maintenance import indexing
from chat_memory.maintenance.integrity import check
from chat_memory.models import Message as MessageRow, Session
from chat_memory.search.models import Entry
from chat_memory.sessions import search
from tests.acceptance.command_line import run
from tests.search.looking import entries

pytestmark = pytest.mark.django_db(transaction=True)
ROOT = Path(__file__).resolve().parents[2]


def before_the_index(conversations: int = 5, each: int = 4) -> int:
    """Conversations that were stored without the sub-app; how many messages they have."""
    for number in range(conversations):
        chat = conversation(f"k{number}", "acme" if number % 2 else "rival")
        chat.append(*(Message.user(f"bread {number} {place}") for place in range(each)))
        chat.fork("draft", at=1).append(Message.user("drafted"))
    Entry._default_manager.all().delete()
    return conversations * (each + 1)


def test_it_fills_what_is_missing_and_nothing_twice() -> None:
    total = before_the_index()
    assert search("bread", "acme").results == []
    assert indexing.missing() == total
    told: list[int] = []
    report = indexing.fill_index(batch_size=7, on_batch=told.append)
    assert report == indexing.Report(messages=total)
    assert told == [7, 14, 21, 25]
    assert (entries(), indexing.missing()) == (total, 0)
    assert {found.key for found in search("bread", "acme").results} == {"k1", "k3"}
    assert indexing.fill_index() == indexing.Report()


def test_it_goes_on_where_it_was_stopped_and_may_take_one_workspace() -> None:
    total = before_the_index()
    report = indexing.fill_index(batch_size=3, max_seconds=1e-9)
    assert report == indexing.Report(messages=3, finished=False)
    assert indexing.missing() == total - 3
    of_acme = indexing.missing("acme")
    assert json.loads(run("search_index", "--workspace", "acme", "--format", "json"))["messages"] == of_acme
    assert (indexing.missing("acme"), indexing.missing("rival") > 0) == (0, True)
    assert run("search_index") == f"{total - 3 - of_acme} messages put into the index\n"
    assert indexing.missing() == 0


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        (["--workspace", "unknown"], "no workspace 'unknown'"),
        (["--workspace", "no slug"], "--workspace must be 1 to 100"),
        (["--batch-size", "0"], "--batch-size must be from 1 to 10000"),
        (["--batch-size", "10001"], "--batch-size must be from 1 to 10000"),
        (["--max-seconds", "0"], "--max-seconds must be more than 0"),
    ],
)
def test_what_it_refuses_is_named_by_its_option(arguments: list[str], refusal: str) -> None:
    with pytest.raises(CommandError, match=refusal):
        run("search_index", *arguments)


def test_it_is_safe_beside_writers_who_edit_redact_and_delete() -> None:
    """The index never has an older text than the message, and no entry of a message that is gone."""
    before_the_index(conversations=24, each=6)
    done = threading.Event()
    failures: list[BaseException] = []

    def write() -> None:
        try:
            for number in range(24):
                chat = conversation(f"k{number}", "acme" if number % 2 else "rival")
                chat.edit(1, "edited")
                chat.redact(2)
                if number % 3 == 0:
                    chat.delete()
        except BaseException as error:  # noqa: BLE001  # shown by the test
            failures.append(error)
        finally:
            done.set()
            connections.close_all()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        indexing.fill_index(batch_size=5)
    writer.join()
    indexing.fill_index(batch_size=5)
    assert failures == []
    assert indexing.missing() == 0
    assert entries() == MessageRow.objects.count()
    edited = [found.hits for slug in ("acme", "rival") for found in search("edited", slug, size=100).results]
    assert sum(edited) == Session.objects.filter(branch="main").count()
    assert search('"bread 1 1"', "acme").results == []


@pytest.mark.postgresql
def test_what_others_hold_is_left_to_the_next_run() -> None:
    total = before_the_index(conversations=2)
    holding, release = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            Session.objects.select_for_update().get(key="k0", branch="main")
            holding.set()
            release.wait(60)
        connections.close_all()

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert holding.wait(60)
        assert indexing.fill_index() == indexing.Report(messages=total // 2, busy=total // 2)
    finally:
        release.set()
        holder.join()
    assert indexing.fill_index().messages == total // 2


def test_a_run_that_is_killed_leaves_what_the_next_one_ends() -> None:
    total = before_the_index(conversations=12, each=10)
    named = connection.settings_dict
    url = (
        f"postgresql://{named['USER']}:{named['PASSWORD']}@{named['HOST']}:{named['PORT']}/{named['NAME']}"
        if connection.vendor == "postgresql"
        else f"sqlite:///{named['NAME']}"
    )
    script = (
        "import django; django.setup()\n"
        "from chat_memory.maintenance.indexing import fill_index\n"
        "import sys\n"
        "fill_index(batch_size=1, on_batch=lambda done: (print(done), sys.stdout.flush()))"
    )
    environment = dict(os.environ) | {"DJANGO_SETTINGS_MODULE": "tests.search.settings", "DATABASE_URL": url}
    process = subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "1\n"
    process.send_signal(signal.SIGKILL)
    process.stdout.close()
    process.wait(60)
    left = indexing.missing()
    assert 0 <= left < total
    assert [fault.what for fault in check().faults] == ["search"] * len({*_lacking_rows()})
    indexing.fill_index()
    assert (indexing.missing(), entries()) == (0, total)


def _lacking_rows() -> set[object]:
    """The session rows of messages without an entry."""
    known = Entry._default_manager.values_list("message_id", flat=True)
    return set(MessageRow.objects.exclude(pk__in=known).values_list("session_id", flat=True))


def test_the_check_names_what_is_missing_and_what_is_of_nothing_and_mends_it() -> None:
    chat = conversation("k", "acme")
    chat.append(Message.user("one"), Message.user("two"))
    conversation("whole", "acme").append(Message.user("three"))
    row = Session.objects.get(key="k")
    Entry._default_manager.filter(session_id=row.pk, seq=1).delete()
    like = Entry._default_manager.get(session_id=row.pk, seq=2)
    with connection.cursor() as cursor:
        for pk, session_id, seq in ((10**9, row.pk, 77), (10**9 + 1, "0" * 32, 1)):
            ident = str(session_id) if connection.vendor == "postgresql" else str(session_id).replace("-", "")
            cursor.execute(
                "INSERT INTO chat_memory_search_entry (message_id, workspace_id, session_id, seq, language, words) "
                "VALUES (%s, %s, %s, %s, %s, 'stray')",
                [pk, like.workspace_id, ident, seq, like.language],
            )
    report = check()
    assert [(fault.key, fault.what, fault.detail) for fault in report.faults] == [
        ("k", "search", "index lacks 1 messages and has 1 entries of no message"),
        ("", "search", "index has 1 entries of sessions that do not exist"),
    ]
    with pytest.raises(CommandError, match="2 violations left"):
        run("check")
    assert "search index lacks 1 messages and has 1 entries of no message (repaired)" in run("check", "--repair")
    assert (check().violations, entries()) == (0, 3)
    assert [found.key for found in search("one", "acme").results] == ["k"]
    assert search("stray", "acme").results == []
