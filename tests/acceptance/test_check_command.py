"""The command chat_memory_check: what must hold is compared with what is stored and cached, and told or repaired."""

import threading
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.management import CommandError
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from chat_memory import Message, conversation
from chat_memory.maintenance import integrity
from chat_memory.models import Message as MessageRow, Session, Turn, Workspace
from chat_memory.signals import session_updated
from tests.acceptance.checking import message_rows, printed, report, session_rows, talk, violations
from tests.acceptance.command_line import run
from tests.histories import ANTHROPIC, calling
from tests.waiting import eventually, somebody_waits_for_a_lock

pytestmark = pytest.mark.django_db(transaction=True)


def test_what_the_package_writes_is_sound() -> None:
    """Appends, replays, clears, updates, imports of old positions, conversations without a message."""
    chat = talk()
    chat.append(Message.user("0?", id="0u"), Message.user("new"))
    chat.update(title="t")
    conversation("empty", "acme").open(title="nothing yet")
    talk("other", workspace="globex").clear()
    found = report("--cache")
    assert (found["sessions"], found["messages"], found["faults"]) == (3, 5, [])
    assert report("--workspace", "globex")["sessions"] == 1
    assert "3 sessions with 5 messages" in run("check")


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        ({"message_count": 9}, "message_count"),
        ({"last_turn": 9}, "last_turn"),
        ({"last_seq": 4, "message_count": 3}, "last_seq"),
        ({"base_seq": 0, "message_count": 5}, None),
        ({"base_seq": 9, "message_count": 0}, "base_seq"),
    ],
    ids=str,
)
def test_counters_that_disagree_with_the_messages(spoil: dict[str, int], what: str | None) -> None:
    talk()
    talk("sound")
    session_rows().update(**spoil)
    found = dict(violations())
    assert (what is None and not found) or found[str(what)] == "k"
    assert "sound" not in found.values()


@pytest.mark.parametrize("counter", ["message_count", "last_turn", "last_seq"])
def test_repair_recounts_and_moves_the_version(counter: str) -> None:
    """Whoever holds the old version, a cache or an optimistic writer, must see that the session has changed."""
    chat = talk()
    before = chat.session()
    session_rows().update(**{counter: 2})
    violations("--repair", "--workspace", "acme")
    after = chat.session()
    assert violations() == []
    assert after.version == before.version + 1
    assert after.vtoken != before.vtoken
    same = [(record.message_count, record.last_turn, record.last_seq, record.updated_at) for record in (before, after)]
    assert same[0] == same[1]
    assert chat.append(Message.user("next")).first_seq == before.last_seq + 1


def test_a_repair_is_told_like_any_other_change() -> None:
    """Once, and not by a check that repairs nothing."""
    chat = talk()
    session_rows().update(message_count=9, last_turn=9)
    received: list[dict[str, Any]] = []

    def receive(**sent: Any) -> None:
        received.append(sent)

    session_updated.connect(receive)
    try:
        violations()
        assert received == []
        violations("--repair")
    finally:
        session_updated.disconnect(receive)
    (sent,) = received
    assert (sent["key"], sent["version"]) == ("k", chat.session().version)
    assert set(sent["fields"]) == {"message_count", "last_turn"}


def test_lost_messages_are_told_and_never_papered_over() -> None:
    """A position that was given away stays so, and the hole stays a violation."""
    chat = talk()
    message_rows().filter(seq=3).delete()
    assert violations() == [("positions", "k"), ("message_count", "k")]
    found = report("--repair")
    assert [(fault["what"], fault["repaired"]) for fault in found["faults"]] == [
        ("positions", False),
        ("message_count", True),
    ]
    assert violations("--repair") == [("positions", "k")]
    assert "acme/k: positions are missing: 1 of 4" in printed()
    message_rows().filter(seq=5).delete()
    violations("--repair")
    chat.append(Message.user("x"))
    assert message_rows().order_by("-seq")[0].seq == 6


def test_several_violations_are_one_line_each() -> None:
    talk()
    session_rows().update(message_count=9, last_turn=9)
    lines = printed("--repair").splitlines()
    assert lines[:2] == [
        "acme/k: message_count is 9, not 4 (repaired)",
        "acme/k: last_turn is 9, not 3 (repaired)",
    ]
    assert lines[2] == "1 session with 4 messages and 0 cached: 2 violations, 2 repaired"
    assert "0 violations" in run("check")


@pytest.mark.sqlite
def test_messages_without_a_session_and_of_another_workspace() -> None:
    talk()
    talk("gone")
    stranger = Workspace.objects.create(slug="globex")
    message_rows().filter(seq=3).update(workspace=stranger)
    with connection.constraint_checks_disabled():
        session_rows("gone").filter(key="gone")._raw_delete("default")
    try:
        found = report()
        told = {fault["what"]: (fault["workspace"], fault["detail"]) for fault in found["faults"]}
        assert told == {
            "workspace": ("acme", "of 1 messages is not that of the session"),
            "orphans": ("acme", "5 messages of a session that does not exist"),
        }
        assert {what for what, _key in violations("--repair")} == set(told)
    finally:
        MessageRow.objects.filter(workspace__slug__in=("acme", "globex")).delete()


@pytest.mark.postgresql
@pytest.mark.django_db
def test_positions_and_ids_stored_twice() -> None:
    """What unique constraints forbid, and a damaged index lets in."""
    with connection.cursor() as cursor:
        for name in ("chat_memory_message_seq", "chat_memory_message_once"):
            cursor.execute(f"ALTER TABLE chat_memory_message DROP CONSTRAINT {name}")
    talk()
    message_rows().filter(seq=3).update(client_id="0u")
    assert violations() == [("duplicates", "k")]
    message_rows().filter(seq=3).update(client_id="again", seq=2)
    assert violations() == [("positions", "k"), ("duplicates", "k")]


def test_branches_have_positions_of_their_own() -> None:
    talk()
    parent = session_rows().get()
    now = dict.fromkeys(("created_at", "updated_at", "active_at", "listed_at"), parent.created_at)
    branch = Session(workspace=parent.workspace, key="k", branch="b", parent=parent, fork_seq=3, last_seq=5, **now)
    branch.last_turn = 3
    branch.save()
    for seq in (4, 5):
        MessageRow.objects.create(
            workspace=parent.workspace,
            session=branch,
            seq=seq,
            client_id=str(seq),
            role="user",
            turn=seq - 2,
            created_at=parent.created_at,
        )
    assert violations() == []
    MessageRow.objects.filter(session=branch, seq=4, workspace=parent.workspace).delete()
    assert "acme/k@b: positions are missing: 1 of 2" in printed()


def test_r1_tool_calls_without_a_result_are_listed_and_no_violation() -> None:
    chat = conversation("k", "acme")
    chat.append(Message.user("q"), calling("hidden"))
    chat.clear()
    chat.append(Message.user("q"), calling("a", "b\n"), Message.tool("r", tool_call_id="a"), Message.user("p"))
    draft = chat.fork("draft", at=4)
    draft.append(*ANTHROPIC.results(["a"], ""), Message.tool("late", tool_call_id="a"))
    conversation("whole", "acme").append(Message.user("q"), calling("a"), Message.tool("r", tool_call_id="a"))
    found = report()
    notice = {"workspace": "acme", "key": "k", "seq": 4, "id": "b\n", "name": "clock"}
    assert (found["violations"], found["unanswered"]) == (0, 2)
    assert sorted(found["calls"], key=lambda call: call["branch"]) == [
        {**notice, "branch": "draft"},
        {**notice, "branch": "main"},
    ]
    lines = run("check")
    assert "acme/k: notice: tool call 'b\\n' 'clock' at position 4 has no result\n" in lines
    assert "acme/k@draft: notice" in lines
    assert "0 violations, 0 repaired; 2 tool calls without a result" in lines
    chat.append(Message.tool("late", tool_call_id="b\n"))
    draft.append(Message.tool("late", tool_call_id="b\n"))
    assert (report()["calls"], "tool call" in run("check")) == ([], False)
    assert report("--workspace", "acme")["unanswered"] == 0


def test_rights_to_answer_that_nobody_has_any_more_are_told_and_given_up() -> None:
    chat = talk()
    with chat.turn(Message.user("q", id="q")) as held:
        assert violations() == []
        Turn.objects.update(lease_until=1_000)
        assert "turn 4 is held by nobody" in printed()
        assert violations("--repair") == [("turn", "k")]
        assert violations() == []
        assert (Turn.objects.get().state, held.number) == ("free", 4)
    with chat.turn("q") as again:
        again.append(Message.assistant("a"))
    assert violations() == []


def test_rights_to_answer_what_is_not_there_are_told_and_go() -> None:
    talk().turn(Message.user("q", id="q")).__enter__()
    Turn.objects.update(seq=9)
    assert violations("--workspace", "acme", "--repair") == [("turn", "k")]
    assert (violations(), Turn.objects.count()) == ([], 0)


def test_branches_that_wait_in_vain_are_told_and_wait_no_longer() -> None:
    chat = talk()
    last = chat.count() + 1
    waits = chat.regenerate(last, until="begun").branch
    later = chat.regenerate(last - 2, until="complete")
    later.append(Message.assistant("done"))
    assert violations() == []  # they can still become the current one
    chat.fork("has it").append(Message.user("x"))
    chat.fork("lost", at=last - 1)
    chat.switch(chat.fork("current").branch)
    session_rows().filter(branch__in=("has it", "current")).update(pending="answered")
    session_rows().filter(branch="lost").update(pending="edited")
    assert {fault["branch"] for fault in report()["faults"]} == {"has it", "current"}
    session_rows().filter(branch="lost").update(created_at=datetime(2020, 1, 1, tzinfo=UTC))
    found = report("--repair")["faults"]
    assert {(fault["what"], fault["branch"], fault["repaired"]) for fault in found} == {
        ("pending", branch, True) for branch in ("has it", "current", "lost")
    }
    assert violations() == []
    assert {branch.name for branch in chat.branches() if branch.pending} == {waits, later.branch}


def test_statements_do_not_grow_with_the_messages() -> None:
    def asked() -> int:
        with CaptureQueriesContext(connection) as statements:
            run("check")
        return len(statements)

    talk(turns=1)
    few = asked()
    talk(turns=30)
    talk("another")
    assert asked() == few


@pytest.mark.postgresql
def test_a_repair_waits_for_who_is_writing() -> None:
    """Else it would count without the message that is about to be there."""
    talk()
    session_rows().update(message_count=9)
    repairing = threading.Thread(target=repair_elsewhere)
    with transaction.atomic():
        conversation("k", "acme").append(Message.user("x"))
        repairing.start()
        eventually(somebody_waits_for_a_lock)
    repairing.join(60)
    assert violations() == []
    assert session_rows().get().message_count == 5


def repair_elsewhere() -> None:
    try:
        integrity.check(repair=True)
    finally:
        connection.close()


@pytest.mark.parametrize("number", [1, 3])
def test_every_session_is_looked_at_once_whatever_the_batch(monkeypatch, number: int) -> None:
    monkeypatch.setattr(integrity, "BATCH_SIZE", number)
    for key in "abcde":
        talk(key, turns=1)
    session_rows("e").update(message_count=9)
    reached: list[int] = []
    found = integrity.check(on_batch=reached.append)
    assert (found.sessions, reached[-1], [fault.key for fault in found.faults]) == (5, 5, ["e"])


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        (["--workspace", "nowhere"], "there is no workspace 'nowhere'"),
        (["--cache", "--sample", "0"], "--sample must be a whole number from 1"),
        (["--cache", "--sample", "100001"], "--sample must be a whole number from 1"),
        (["--sample", "5"], "--sample goes with --cache"),
    ],
)
def test_refusals(arguments: list[str], refusal: str) -> None:
    with pytest.raises(CommandError, match=refusal):
        run("check", *arguments)
