"""The command chat_memory_cleanup: what had its time goes, whole, and nothing else."""

import io
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command, execute_from_command_line
from django.db import connection, transaction
from django.test import override_settings

from chat_memory import Message, conversation
from chat_memory.exceptions import ValidationError
from chat_memory.maintenance import retention
from chat_memory.models import Message as MessageRow, Session, Workspace
from tests.acceptance.command_line import run
from tests.waiting import PATIENCE

pytestmark = pytest.mark.django_db


def idle_chat(key: str, *, idle: int = 0, workspace: str = "acme", **fields: Any) -> Session:
    """A conversation of three messages that nobody touched for some days."""
    chat = conversation(key, workspace=workspace)
    chat.append(*(Message.user(str(number)) for number in range(3)))
    rows = Session.objects.filter(key=key, workspace__slug=workspace)
    rows.update(**times(idle), **fields)
    return rows.get()


def idle_branch(parent: Session, name: str, *, idle: int = 0, messages: int = 0) -> Session:
    """A branch below a conversation, with messages of its own; whoever writes to it makes its root as active."""
    moment = ago(idle)
    made = Session(
        workspace_id=parent.workspace_id,
        key=parent.key,
        branch=name,
        parent=parent,
        fork_seq=2,
        created_at=moment,
        **times(idle),
    )
    Session.objects.bulk_create([made])
    Session.objects.filter(key=parent.key, parent=None, active_at__lt=moment).update(**times(idle))
    MessageRow.objects.bulk_create(
        MessageRow(
            workspace_id=parent.workspace_id,
            session=made,
            seq=3 + number,
            client_id=str(number),
            role="user",
            content="x",
            created_at=moment,
        )
        for number in range(messages)
    )
    return made


def ago(days: int) -> datetime:
    return datetime.now(UTC) - timedelta(days=days)


def times(idle: int) -> dict[str, datetime]:
    """The times of a row whose newest message is some days old."""
    return dict.fromkeys(("updated_at", "active_at", "listed_at"), ago(idle))


def remaining_keys() -> set[str]:
    return set(Session.objects.values_list("key", flat=True))


def test_idle_conversations_go_with_their_messages() -> None:
    """Those without a change for N days; a day less stays."""
    idle_chat("old", idle=31)
    idle_chat("young", idle=29)
    assert run("cleanup", "--days", "30") == "1 conversation with 3 messages removed, and 0 cleared messages\n"
    assert remaining_keys() == {"young"}
    assert MessageRow.objects.count() == 3
    assert "0 conversations" in run("cleanup", "--days", "30")


def test_branches_go_with_their_conversation_and_keep_it_while_they_live() -> None:
    dead, living = idle_chat("dead", idle=40), idle_chat("living", idle=40)
    idle_branch(idle_branch(dead, "b1", idle=40, messages=2), "b2", idle=40, messages=1)
    idle_branch(living, "b1", idle=1, messages=1)
    report = retention.clean_up(30)
    assert (report.sessions, report.messages) == (1, 6)
    assert set(Session.objects.values_list("key", "branch")) == {("living", "main"), ("living", "b1")}


def test_pinned_conversations_stay_and_expiry_wins() -> None:
    idle_chat("pinned", idle=400, pinned=True)
    idle_chat("expired", pinned=True, expires_at=ago(1))
    idle_chat("expires later", expires_at=ago(-1))
    retention.clean_up(30)
    assert remaining_keys() == {"pinned", "expires later"}


@pytest.mark.parametrize("days", ["0", "-1", "36501", "9" * 30])
def test_an_unbounded_removal_is_refused(days: str) -> None:
    """FEATURES J02."""
    idle_chat("k", idle=10)
    with pytest.raises(CommandError, match=r"^--days must be a whole number from 1"):
        run("cleanup", f"--days={days}")
    assert remaining_keys() == {"k"}


def test_days_come_from_the_settings_or_not_at_all() -> None:
    idle_chat("k", idle=10)
    with pytest.raises(CommandError, match=r"^--days must be given, since RETENTION_DAYS is not set"):
        run("cleanup")
    refused = pytest.raises(CommandError, match=r"^RETENTION_DAYS: must be")
    with override_settings(CHAT_MEMORY={"RETENTION_DAYS": 0}), refused:
        run("cleanup")
    with override_settings(CHAT_MEMORY={"RETENTION_DAYS": 5}):
        run("cleanup")
    assert remaining_keys() == set()


@pytest.mark.parametrize("option", ["--batch-size=0", "--batch-size=10001", "--max-seconds=0", "--max-seconds=nan"])
def test_numbers_out_of_range_are_refused(option: str) -> None:
    """By the name the operator gave."""
    with pytest.raises(CommandError, match=f"^{option.partition('=')[0]} must be"):
        run("cleanup", "--days=5", option)


def test_one_workspace_only() -> None:
    idle_chat("k", idle=40, workspace="acme")
    idle_chat("k", idle=40, workspace="globex")
    with pytest.raises(CommandError, match="there is no workspace 'unknown'"):
        run("cleanup", "--days", "30", "--workspace", "unknown")
    run("cleanup", "--days", "30", "--workspace", "acme")
    assert Session.objects.get().workspace.slug == "globex"
    assert set(Workspace.objects.values_list("slug", flat=True)) == {"acme", "globex"}


def test_a_dry_run_lists_what_would_go_and_nothing_else() -> None:
    idle_chat("old/1", idle=40)
    idle_chat("young")
    idle_chat("old", idle=40, workspace="globex")
    before = list(Session.objects.order_by("pk").values()), list(MessageRow.objects.order_by("pk").values())
    assert sorted(run("cleanup", "--days", "30", "--dry-run").splitlines()) == ["acme/old/1", "globex/old"]
    lines = run("cleanup", "--days", "30", "--dry-run", "--format", "json", "--workspace", "globex").splitlines()
    assert [json.loads(line) for line in lines] == [{"workspace": "globex", "key": "old"}]
    after = list(Session.objects.order_by("pk").values()), list(MessageRow.objects.order_by("pk").values())
    assert after == before


def test_a_dry_run_ends_with_the_total_apart_from_the_list() -> None:
    idle_chat("k", idle=40)
    Workspace.objects.create(slug="globex")
    for option, total in (
        ("--workspace=acme", "1 conversation would go\n"),
        ("--workspace=globex", "0 conversations would go\n"),
        ("--verbosity=0", ""),
    ):
        err = io.StringIO()
        call_command("chat_memory_cleanup", "--days=30", "--dry-run", option, stdout=io.StringIO(), stderr=err)
        assert err.getvalue() == total


def test_batches_and_the_end_of_the_time() -> None:
    """After the time no other batch begins, and the next run goes on."""
    for number in range(7):
        idle_chat(f"k{number}", idle=40)
    assert retention.clean_up(30, batch_size=2, max_seconds=1e-9) == retention.Report(2, 6, 0, finished=False)
    assert "the time was up" in run("cleanup", "--days=30", "--batch-size=2", "--max-seconds=0.000001")
    done: list[int] = []
    assert retention.clean_up(30, batch_size=2, on_batch=done.append) == retention.Report(3, 9, 0)
    assert done == [2, 3]


def test_a_report_for_programs() -> None:
    idle_chat("k", idle=40)
    found = json.loads(run("cleanup", "--days", "30", "--format", "json"))
    removed = {"sessions": 1, "messages": 3, "cleared": 0, "finished": True}
    assert found == {**removed, "entries_left": 0, "left_until": None, "busy": 0, "attachments": 0, "drafts": 0}


def test_cleared_messages_go_after_their_days() -> None:
    """Readers see no difference: the positions, the version and the visible messages stay, and a title that was set."""
    for key, days in (("long ago", 31), ("lately", 29)):
        idle_chat(key)
        conversation(key, workspace="acme").update(title=key)
        conversation(key, workspace="acme").clear()
        conversation(key, workspace="acme").append(Message.user("kept"))
        Session.objects.filter(key=key).update(cleared_at=ago(days))
    chat = conversation("long ago", workspace="acme")
    before = chat.session(), chat.messages()
    assert retention.clean_up(30) == retention.Report(cleared=3)
    assert (chat.session(), chat.messages()) == before
    assert MessageRow.objects.filter(session__key="long ago").count() == 1
    assert MessageRow.objects.filter(session__key="lately").count() == 4
    assert Session.objects.get(key="long ago").cleared_at is None
    assert retention.clean_up(30).cleared == 0


def test_cleared_messages_that_a_branch_may_show_stay() -> None:
    session = idle_chat("k")
    idle_branch(session, "b")
    conversation("k", workspace="acme").clear()
    Session.objects.filter(pk=session.pk).update(cleared_at=ago(100))
    assert retention.clean_up(30).cleared == 0
    assert MessageRow.objects.filter(session=session).count() == 3


@pytest.mark.parametrize(("option", "code"), [("--days=0", 1), ("--days=soon", 2), ("--weeks=1", 2)])
def test_exit_codes_tell_a_refusal_from_a_wrong_command_line(option: str, code: int, capsys) -> None:
    with pytest.raises(SystemExit) as caught:
        execute_from_command_line(["manage.py", "chat_memory_cleanup", option])
    assert caught.value.code == code
    assert capsys.readouterr().err


def test_the_python_function_refuses_what_is_no_number_of_days() -> None:
    for days in (True, 1.5, "30"):
        with pytest.raises(ValidationError, match="days"):
            retention.clean_up(days)  # type: ignore[arg-type]


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_a_conversation_somebody_writes_to_is_kept() -> None:
    """Its row is locked by the writer: cleanup neither waits nor removes it."""
    idle_chat("busy", idle=40)
    idle_chat("idle", idle=40)
    written, cleaned = threading.Event(), threading.Event()

    def work() -> None:
        with transaction.atomic():
            conversation("busy", workspace="acme").append(Message.user("still here"))
            written.set()
            assert cleaned.wait(PATIENCE)
        connection.close()

    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(work)
        assert written.wait(PATIENCE)
        report = retention.clean_up(30)
        cleaned.set()
        writer.result()
    assert report.sessions == 1
    assert conversation("busy", workspace="acme").count() == 4


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_a_branch_that_is_written_to_keeps_its_conversation() -> None:
    """A writer holds the root of the conversation too, so cleanup neither waits nor removes it."""
    idle_branch(idle_chat("k", idle=40), "b", idle=40)
    written, cleaned = threading.Event(), threading.Event()

    def work() -> None:
        with transaction.atomic():
            conversation("k", workspace="acme", branch="b").append(Message.user("still here", id="new"))
            written.set()
            assert cleaned.wait(PATIENCE)
        connection.close()

    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(work)
        assert written.wait(PATIENCE)
        during = retention.clean_up(30).sessions
        cleaned.set()
        writer.result()
    assert (during, retention.clean_up(30).sessions) == (0, 0)
    assert Session.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_appends_and_two_cleanups_at_once_lose_nothing() -> None:
    """Each append either keeps its conversation or begins a new one; no conversation is removed twice."""
    for number in range(40):
        idle_chat(f"k{number}", idle=40)
    start = threading.Barrier(3)

    def write() -> None:
        start.wait(PATIENCE)
        for number in reversed(range(40)):
            conversation(f"k{number}", workspace="acme").append(Message.user("new", id="new"))
        connection.close()

    def clean() -> int:
        start.wait(PATIENCE)
        removed = retention.clean_up(30, batch_size=1).sessions
        connection.close()
        return removed

    with ThreadPoolExecutor(3) as pool:
        writer, *cleaners = pool.submit(write), pool.submit(clean), pool.submit(clean)
        writer.result()
        removed = sum(cleaner.result() for cleaner in cleaners)
    counts = [len(conversation(f"k{number}", workspace="acme").messages()) for number in range(40)]
    assert sorted(set(counts) | {1, 4}) == [1, 4]
    assert counts.count(1) == removed
