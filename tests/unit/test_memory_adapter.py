"""The memory adapter beyond the contract: readers do not wait, failures leave nothing, transcripts are checked."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import override_settings

from chat_memory.exceptions import (
    BranchNotFound,
    ChatMemoryError,
    MessageConflict,
    MessageNotFound,
    ValidationError,
    WorkspaceNotFound,
)
from chat_memory.records import Address, Message, Span, Transcript, TranscriptBranch, TranscriptSummary
from chat_memory.storage.changed import Changed, Kind, changed
from chat_memory.storage.contract import Batch, Restored
from chat_memory.storage.listing import Cursor, Filter
from chat_memory.storage.memory import MemoryAdapter

pytestmark = pytest.mark.once

SENT_AT = datetime(2026, 1, 2, tzinfo=UTC)
HOME = Address("acme", "k")


@pytest.fixture
def memory() -> MemoryAdapter:
    return MemoryAdapter()


@pytest.fixture
def memory_events(memory: MemoryAdapter) -> Iterator[list[Changed]]:
    """The events of the adapter, in the order they were sent."""
    heard: list[Changed] = []

    def hear(event: Changed, **_signal: Any) -> None:
        heard.append(event)

    changed.connect(hear, sender=memory.source)
    yield heard
    changed.disconnect(hear, sender=memory.source)


def users(ids: str, minutes: int = 0) -> list[Message]:
    """A message for each letter, all of the same time."""
    moment = SENT_AT + timedelta(minutes=minutes)
    return [Message.user(letter, id=letter, created_at=moment, tokens=1) for letter in ids]


def shown_ids(memory: MemoryAdapter, branch: str = "", span: Span = Span()) -> str:  # noqa: B008  # it cannot be changed
    at = Address("acme", "k", branch)
    return "".join(message.id or "" for message in memory.messages.read(at, span).messages)


def restored(memory: MemoryAdapter, transcript: Transcript) -> Restored:
    (answer,) = memory.archive.restore([(HOME, transcript)])
    return answer


def test_readers_do_not_wait_for_a_writer(memory: MemoryAdapter) -> None:
    """A writer that is held up by its caller's own code blocks other writers, and no reader."""
    memory.messages.append(HOME, users("ab"))
    inside, leave = threading.Event(), threading.Event()

    def restate(stored: Message) -> Message:
        inside.set()
        assert leave.wait(30)
        return stored

    writer = threading.Thread(target=memory.edits.edit, args=(HOME, 1, restate))
    writer.start()
    assert inside.wait(30)
    assert shown_ids(memory) == "ab"
    assert memory.messages.peek(HOME) is not None
    record = memory.sessions.get(HOME)
    leave.set()
    writer.join(30)
    assert record is not None
    assert record.version == 1


def test_nobody_sees_a_part_of_a_call(memory: MemoryAdapter) -> None:
    seen: list[str] = []

    def batches() -> Iterator[Batch]:
        yield HOME, users("ab"), None
        seen.append(shown_ids(memory))
        yield Address("acme", "other"), users("c"), None

    memory.messages.append_many(batches())  # type: ignore[arg-type]  # it is only walked
    assert seen == [""]
    assert shown_ids(memory) == "ab"


def test_an_edit_may_read_what_it_edits(memory: MemoryAdapter) -> None:
    memory.messages.append(HOME, users("ab"))
    commit = memory.edits.edit(HOME, 1, lambda _stored: Message.user(shown_ids(memory)))
    assert commit.messages[0].content == "ab"


def test_usage_counts_what_a_clear_has_hidden(memory: MemoryAdapter) -> None:
    memory.messages.append(HOME, users("ab"))
    memory.branches.fork(HOME, "draft")
    memory.messages.append(Address("acme", "k", "draft"), users("c"))
    memory.messages.clear(HOME)
    usage = memory.sessions.usage("acme")
    assert (usage.sessions, usage.messages, usage.tokens) == (1, 3, 3)


def test_pages_go_both_ways(memory: MemoryAdapter) -> None:
    records = []
    for number in range(7):
        at = Address("acme", f"{number}")
        memory.messages.append(at, users("a", minutes=number // 2))
        record = memory.sessions.get(at)
        assert record is not None
        records.append(record)
    ordered = sorted(records, key=Cursor.of, reverse=True)
    middle = Cursor.of(ordered[3])
    assert memory.sessions.find("acme", before=middle, size=2) == ordered[4:6]
    assert memory.sessions.find("acme", after=middle, size=2) == ordered[1:3]
    assert memory.sessions.find("acme", Filter(until=ordered[0].active_at), after=middle) == [
        record for record in ordered[:3] if record.active_at < ordered[0].active_at
    ]


def test_sessions_are_found_by_their_owner(memory: MemoryAdapter) -> None:
    for number in range(3):
        memory.sessions.open(Address("acme", f"{number}", user_id=number, user_key=f"{number}"))
    memory.sessions.open(HOME)
    assert [record.key for record in memory.sessions.find("acme", Filter(user_id=2))] == ["2"]
    assert memory.sessions.find("acme", Filter(user_id=7)) == []
    assert memory.sessions.count("acme", Filter(user_id=0)) == 1


def branch_of(name: str, ids: str = "", **fields: Any) -> TranscriptBranch:
    given: dict[str, Any] = {"parent": "main", "fork_seq": 0, "base_seq": 0} | fields
    return TranscriptBranch(name=name, messages=users(ids), **given)


REFUSED: dict[str, tuple[dict[str, Any], type[ChatMemoryError], str]] = {
    "a branch of a branch that is not there": (
        {"branches": [branch_of("b", parent="x")]},
        BranchNotFound,
        "has no branch 'x'",
    ),
    "a branch that begins behind its parent": (
        {"branches": [branch_of("b", fork_seq=4)]},
        MessageNotFound,
        "position 4",
    ),
    "a branch that shows what its parent has cleared": (
        {"branches": [branch_of("b", fork_seq=3)], "base_seq": 2},
        MessageNotFound,
        "position 1",
    ),
    "a summary of more than there is": (
        {"summaries": [TranscriptSummary("main", 1, 4, "text")]},
        ValidationError,
        "up to position 4 covers more than branch 'main', which ends at 3",
    ),
    "a summary of a branch that is not there": (
        {"summaries": [TranscriptSummary("x", 1, 1, "text")]},
        BranchNotFound,
        "has no branch 'x'",
    ),
    "two messages of one id": (
        {"branches": [branch_of("b", "a", fork_seq=1)]},
        ValidationError,
        "position 1, not 2",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_transcript_that_contradicts_itself_is_refused_whole(
    memory: MemoryAdapter, memory_events: list[Changed], name: str
) -> None:
    fields, kind, text = REFUSED[name]
    messages = users("abc" if "base_seq" not in fields else "a")
    answer = restored(memory, Transcript("k", messages, **fields))
    assert isinstance(answer.error, kind)
    assert text in str(answer.error)
    assert (answer.made, answer.messages, answer.replayed) == (False, 0, 0)
    assert memory.sessions.get(HOME) is None
    assert memory_events == []


def test_a_transcript_whose_positions_are_not_those_stored_is_refused(memory: MemoryAdapter) -> None:
    """What a branch says of positions would be true of other messages."""
    memory.messages.append(HOME, users("z"))
    answer = restored(memory, Transcript("k", users("ab"), branches=[branch_of("b", "c", fork_seq=1)]))
    assert "message 'a' of branch 'main' is stored at position 2, not 1" in str(answer.error)
    assert shown_ids(memory) == "z"
    assert [found.name for found in memory.branches.all(HOME)] == ["main"]
    memory.messages.append(HOME, users("b"))
    assert shown_ids(memory) == "zb"


def test_a_cleared_branch_comes_in(memory: MemoryAdapter) -> None:
    """It shows nothing it shares, goes on after what it hides, and others may begin within it."""
    line = [
        branch_of("b", "xy", fork_seq=2, base_seq=4),
        branch_of("c", "z", parent="b", fork_seq=5, base_seq=4),
        branch_of("d", "w", parent="b", fork_seq=2, base_seq=2),
    ]
    assert restored(memory, Transcript("k", users("abc"), branches=line)).error is None
    assert {name: shown_ids(memory, name) for name in "bcd"} == {"b": "xy", "c": "xz", "d": "w"}
    assert [message.seq for message in memory.messages.read(Address("acme", "k", "c")).messages] == [5, 6]
    assert shown_ids(memory, "c", Span(system=True)) == ""
    assert memory.sessions.usage("acme").messages == 7


def test_a_restored_conversation_is_active_when_its_newest_message_was_sent(memory: MemoryAdapter) -> None:
    """On whichever branch that is."""
    late = TranscriptBranch("b", "main", 1, 0, users("x", minutes=9))
    early = TranscriptBranch("c", "main", 1, 0, users("y", minutes=1))
    restored(memory, Transcript("k", users("ab", minutes=5), branches=[late, early], created_at=SENT_AT))
    record = memory.sessions.get(HOME)
    assert record is not None
    assert (record.active_at, record.created_at) == (SENT_AT + timedelta(minutes=9), SENT_AT)


def test_a_restore_of_another_current_branch_is_sent(memory: MemoryAdapter, memory_events: list[Changed]) -> None:
    memory.messages.append(Address("acme", "k", user_key="eve"), users("ab"))
    memory_events.clear()
    transcript = Transcript("k", users("abc"), user_key="bob", branches=[branch_of("b", "x", fork_seq=1, current=True)])
    assert restored(memory, transcript) == Restored(made=False, messages=2, replayed=2)
    sent = [(event.kind, event.branch, event.parent, event.first_seq, event.last_seq) for event in memory_events]
    assert sent == [
        (Kind.RESTORED, "main", "", 3, 3),
        (Kind.RESTORED, "b", "main", 2, 2),
        (Kind.SWITCHED, "b", "", None, None),
    ]
    assert shown_ids(memory) == "ax"
    record = memory.sessions.get(HOME)
    assert record is not None
    assert record.user_key == "eve"


def test_a_title_that_was_made_comes_in_as_such(memory: MemoryAdapter) -> None:
    restored(memory, Transcript("k", users("a"), fields={"title": "Made"}, title_made=True))
    record = memory.sessions.get(HOME)
    assert record is not None
    assert (record.title, record.title_made) == ("Made", True)


@override_settings(CHAT_MEMORY={"CREATE_WORKSPACES": False})
def test_an_unknown_workspace_takes_back_all_of_a_restore(memory: MemoryAdapter, memory_events: list[Changed]) -> None:
    memory.add_workspace("acme")
    batch = [(HOME, Transcript("k", users("a"))), (Address("other", "k"), Transcript("k", users("a")))]
    with pytest.raises(WorkspaceNotFound):
        memory.archive.restore(batch)
    assert memory.sessions.get(HOME) is None
    assert memory_events == []


def test_a_call_that_fails_leaves_what_follows_untouched(memory: MemoryAdapter) -> None:
    """Positions, ids, system messages and turns of a call taken back give way to the next."""
    memory.messages.append(HOME, users("a"))
    fresh = [Message.system("s", id="s", created_at=SENT_AT), *users("bc")]
    with pytest.raises(MessageConflict):
        memory.messages.append_many([(HOME, fresh, None), (HOME, [Message.user("other", id="a")], None)])
    assert (shown_ids(memory), shown_ids(memory, span=Span(system=True))) == ("a", "")
    memory.messages.append(HOME, users("d"))
    assert shown_ids(memory) == "ad"
    assert [memory.messages.locate(HOME, letter) for letter in "sbcd"] == [None, None, None, 2]
    record = memory.sessions.get(HOME)
    assert record is not None
    assert (record.last_turn, record.last_seq) == (2, 2)
