"""Drafts whose writers are not heard of any more, and what drafts go with."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection, transaction

from chat_memory import (
    DraftLost,
    Message,
)
from chat_memory.maintenance import retention
from chat_memory.maintenance.integrity import check
from chat_memory.models import Draft, Session
from tests.acceptance.admin_world import page, signed_in, user
from tests.conversations import chat, say
from tests.integration.streams import GoneError, broken_off, fail, lapse, played, states
from tests.rollback import undone
from tests.ways_out import WAYS, WAYS_OF_A_WORKSPACE

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).resolve().parents[2]


def test_a_reader_finds_an_abandoned_draft_and_stores_it() -> None:
    say("q")
    lost = chat().streaming(id="a")
    lost.__enter__()
    lost.write("So far")
    lost.flush()
    lost.write(", and what nobody flushed")
    assert chat().drafts.get("a").state == "streaming"
    lapse()
    seen = chat().drafts.get("a", after=3)
    assert (seen.state, seen.text, seen.seq) == ("abandoned", "far", 2)
    assert states() == [("q", "complete"), ("So far", "abandoned")]
    for call in (lost.flush, lost.finish):
        with pytest.raises(DraftLost, match="'a'"):
            call()
    with chat().streaming(resume="a") as stream:
        stream.write(", so good")
    assert states()[-1] == ("So far, so good", "complete")


def test_a_writer_that_is_settled_by_others_keeps_its_own_error() -> None:
    stream = chat().streaming()
    with pytest.raises(GoneError):
        played(stream, lapse, chat().drafts.entries, fail)
    assert states() == [("", "abandoned")]


def test_a_flush_says_that_the_writer_is_alive() -> None:
    with chat().streaming(id="a") as stream:
        lapse()
        stream.flush()
        assert [draft.id for draft in chat().drafts.entries()] == ["a"]


def test_the_next_stream_settles_what_is_abandoned_first() -> None:
    chat().streaming(id="a").__enter__()
    lapse()
    with chat().streaming(id="b") as stream:
        stream.write("next")
    assert states() == [("", "abandoned"), ("next", "complete")]


def test_cleanup_and_check_know_of_abandoned_drafts() -> None:
    for key in ("one", "two"):
        stream = chat(key).streaming(id="a")
        stream.__enter__()
        stream.write("So far")
        stream.flush()
    chat("alive").streaming().__enter__()
    assert (check().violations, retention.clean_up(30).drafts) == (0, 0)
    lapse(session__key__in=("one", "two"))
    (fault, other) = check().faults
    assert (fault.what, fault.key, fault.branch, fault.repaired) == ("draft", "one", "main", False)
    assert other.key == "two"
    assert retention.clean_up(30, workspace="acme").drafts == 2
    assert [m.state for m in chat("one").messages()] == ["abandoned"]
    assert (check().violations, Draft.objects.count()) == (0, 1)
    lapse()
    assert [fault.repaired for fault in check(repair=True).faults] == [True]
    assert check().violations == 0


def test_a_reader_inside_of_a_transaction_stores_it_too() -> None:
    """It goes with the transaction, as every write does."""
    chat().streaming(id="a").__enter__()
    lapse()
    with undone():
        assert chat().drafts.get("a").state == "abandoned"
    assert (states(), Draft.objects.count()) == ([], 1)
    with transaction.atomic():
        assert chat().drafts.get("a").state == "abandoned"
    assert (states(), Draft.objects.count()) == ([("", "abandoned")], 0)


def test_the_transcript_of_the_admin_shows_what_a_message_is() -> None:
    broken_off("So far")
    chat().streaming().__enter__()
    lapse()
    chat().drafts.entries()
    shown = signed_in(user("root", is_superuser=True, is_staff=True)).get(
        page("session_transcript", Session.objects.get())
    )
    for state in ("failed", "abandoned"):
        assert f'<span class="cm-state">{state}</span>' in shown.content.decode()


def test_a_draft_does_not_keep_a_conversation_that_is_due() -> None:
    stream = chat().streaming()
    stream.__enter__()
    lapse()
    Session.objects.update(active_at="2020-01-01T00:00Z", listed_at="2020-01-01T00:00Z")
    report = retention.clean_up(30)
    assert (report.sessions, report.drafts, Draft.objects.count()) == (1, 0, 0)


def test_an_abandoned_draft_whose_message_is_stored_goes() -> None:
    chat().streaming(id="a").__enter__()
    chat().append(Message.assistant("other", id="a"))
    lapse()
    assert chat().drafts.entries() == []
    assert (states(), Draft.objects.count()) == ([("other", "complete")], 0)


def test_kill_9_of_the_writer_loses_what_it_had_not_flushed_and_nothing_else() -> None:
    name = str(connection.settings_dict["NAME"])
    say("q")
    connection.close()
    command = [sys.executable, "-m", "tests.integration.killed_stream", name]
    ended = subprocess.run(command, cwd=ROOT, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert chat().drafts.get("a").text == "flushed"
    lapse()
    call_command("chat_memory_cleanup", days=30, verbosity=0)
    assert states() == [("q", "complete"), ("flushed", "abandoned")]
    call_command("chat_memory_check", verbosity=0)


@pytest.mark.parametrize("way", WAYS)
def test_every_way_out_takes_the_drafts(way: str) -> None:
    chat().append(Message.user("q"))
    stream = chat().streaming()
    stream.__enter__()
    stream.write("SECRET")
    stream.flush()
    WAYS[way](Session.objects.get())
    assert Draft.objects.count() == 0
    with pytest.raises(DraftLost):
        stream.finish()


@pytest.mark.parametrize("way", WAYS_OF_A_WORKSPACE)
def test_the_end_of_a_workspace_takes_the_drafts(way: str) -> None:
    chat().streaming().__enter__()
    WAYS_OF_A_WORKSPACE[way](Session.objects.get())
    assert Draft.objects.count() == 0
