"""An export holds a conversation whole, branches and summaries included, and an import makes it again."""

import io
import json
import random
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from chat_memory import Conversation, Message, MessageNotFound, ValidationError, conversation
from chat_memory.maintenance.formats.lines import read_line
from chat_memory.models import Draft, Message as MessageRow, Session

pytestmark = pytest.mark.django_db(transaction=True)


def export(workspace: str, to: Path) -> bytes:
    call_command("chat_memory_export", str(to), workspace=workspace, force=True, stdout=io.StringIO())
    return to.read_bytes()


def bring(workspace: str, file: Path) -> str:
    out = io.StringIO()
    call_command("chat_memory_import", str(file), workspace=workspace, stdout=out)
    return out.getvalue()


def numbered_texts(n: int, begin: int = 0) -> list[Message]:
    return [
        Message(("assistant", "user")[number % 2], f"text {number}", id=f"m{number}")
        for number in range(begin + 1, begin + n + 1)
    ]


def ids_and_positions(workspace: str, branch: str | None = None) -> list[tuple[str | None, int | None]]:
    return [(message.id, message.seq) for message in conversation("k", workspace, branch=branch).messages()]


def grow(workspace: str) -> None:
    chat = conversation("k", workspace)
    chat.append(*numbered_texts(6))
    draft = chat.fork("draft", at=4)
    draft.append(*numbered_texts(2, begin=20))
    draft.fork("deeper", at=5).append(*numbered_texts(3, begin=30))
    chat.fork("empty", at=2)
    chat.summarize(lambda messages: f"{len(messages)} messages", keep=2, model="tiny")
    draft.summarize(lambda messages: "the draft", keep=1)
    chat.switch("deeper")


def test_branches_and_summaries_come_back_byte_for_byte(tmp_path: Path) -> None:
    grow("one")
    first = export("one", tmp_path / "first.jsonl")
    bring("two", tmp_path / "first.jsonl")
    assert export("two", tmp_path / "second.jsonl") == first
    for branch in (None, "main", "draft", "deeper", "empty"):
        assert ids_and_positions("two", branch) == ids_and_positions("one", branch)
    assert [kept.text for kept in conversation("k", "two", branch="draft").summaries()] == ["4 messages", "the draft"]


def test_a_second_import_adds_nothing(tmp_path: Path) -> None:
    grow("one")
    first = export("one", tmp_path / "first.jsonl")
    bring("two", tmp_path / "first.jsonl")
    bring("two", tmp_path / "first.jsonl")
    assert export("two", tmp_path / "second.jsonl") == first


def test_what_main_has_cleared_and_a_branch_still_shows_travels(tmp_path: Path) -> None:
    chat = conversation("k", "one")
    chat.append(*numbered_texts(4))
    draft = chat.fork("draft", at=3)
    draft.append(*numbered_texts(1, begin=20))
    draft.fork("deeper", at=2).append(*numbered_texts(1, begin=30))
    conversation("k", "one", branch="main").clear()
    chat.append(*numbered_texts(2, begin=40))
    first = export("one", tmp_path / "first.jsonl")
    bring("two", tmp_path / "first.jsonl")
    assert export("two", tmp_path / "second.jsonl") == first
    for branch in (None, "draft", "deeper"):
        assert ids_and_positions("two", branch) == ids_and_positions("one", branch)


def test_a_cleared_branch_travels(tmp_path: Path) -> None:
    chat = conversation("k", "one")
    chat.append(*numbered_texts(4))
    draft = chat.fork("draft", at=3)
    draft.append(*numbered_texts(2, begin=20))
    draft.clear()
    draft.append(*numbered_texts(1, begin=30))
    first = export("one", tmp_path / "first.jsonl")
    bring("two", tmp_path / "first.jsonl")
    assert export("two", tmp_path / "second.jsonl") == first
    assert ids_and_positions("two", "draft") == ids_and_positions("one", "draft") == [("m31", 6)]


def test_other_forms_hold_the_current_branch(tmp_path: Path) -> None:
    grow("one")
    call_command("chat_memory_export", str(tmp_path / "o"), workspace="one", format="openai", stdout=io.StringIO())
    texts = [message["content"] for message in json.loads((tmp_path / "o").read_bytes())["messages"]]
    assert texts == [message.content for message in conversation("k", "one").messages()]


@pytest.mark.parametrize(
    ("branches", "named"),
    [
        ("x", "branches"),
        ([1], "branches[0]"),
        ([{"messages": []}], "branches[0].name"),
        ([{"name": "main", "messages": []}], "branches[0].name"),
        ([{"name": "b", "parent": "later", "messages": []}], "branches[0].parent"),
        ([{"name": "b", "fork_seq": -1, "messages": []}], "branches[0].fork_seq"),
        ([{"name": "b", "parent": None, "messages": []}], "branches[0].parent"),
        ([{"name": "b", "current": "yes", "messages": []}], "branches[0].current"),
        ([{"name": "b", "fork": 1, "messages": []}], "branches[0]"),
        ([{"name": "b", "fork_seq": 0}], "branches[0].messages"),
        ([{"name": "b", "messages": [{"role": 3}]}], "branches[0].messages[0].role"),
        ([{"name": "b", "messages": []}, {"name": "b", "messages": []}], "branches[1].name"),
        ([{"name": n, "messages": [], "current": True} for n in "bc"], "branches"),
    ],
)
def test_bad_branches_are_named(branches: object, named: str) -> None:
    with pytest.raises(ValidationError) as caught:
        read_line(json.dumps({"key": "k", "messages": [], "branches": branches}).encode())
    assert caught.value.field == named


@pytest.mark.parametrize(
    ("summary", "named"),
    [
        ({"first_seq": 3, "last_seq": 2, "text": "s"}, "summaries[0].first_seq"),
        ({"last_seq": 2, "text": "s"}, "summaries[0].first_seq"),
        ({"first_seq": 1, "last_seq": 2, "text": "\x00"}, "summaries[0].text"),
        ({"first_seq": 1, "last_seq": 2, "text": " "}, "summaries[0].text"),
        ({"first_seq": 1, "last_seq": 2, "txt": "s"}, "summaries[0]"),
        ({"first_seq": 1, "last_seq": 2, "text": "s", "model": "m" * 256}, "summaries[0].model"),
        ({"first_seq": 1, "last_seq": 2, "text": "s", "branch": "b"}, "summaries[0].branch"),
        ({"first_seq": 1, "last_seq": 2, "text": "s", "created_at": "now"}, "summaries[0].created_at"),
    ],
)
def test_bad_summaries_are_named(summary: object, named: str) -> None:
    with pytest.raises(ValidationError) as caught:
        read_line(json.dumps({"key": "k", "messages": [], "summaries": [summary]}).encode())
    assert caught.value.field == named


@pytest.mark.parametrize(
    "more",
    [
        {"branches": [{"name": "b", "fork_seq": 9, "messages": []}]},
        {"summaries": [{"first_seq": 1, "last_seq": 9, "text": "too much"}]},
        {"summaries": [{"first_seq": 1, "last_seq": 1, "text": "x", "created_at": "0001-01-01T00:00:00Z"}]},
        {"summaries": [{"first_seq": 1, "last_seq": 1, "text": "x" * 2_000_000}]},
        {"base_seq": 10, "branches": [{"name": "b", "fork_seq": 11, "base_seq": 2, "messages": []}]},
    ],
)
def test_a_line_beyond_its_own_messages_is_left_out_whole(more: dict[str, object], tmp_path: Path) -> None:
    line = {"key": "k", "messages": [{"role": "user", "content": "a"}], **more}
    (tmp_path / "f").write_text(json.dumps(line))
    with pytest.raises(CommandError):
        bring("two", tmp_path / "f")
    assert conversation("k", "two").session() is None


def test_a_line_whose_positions_are_not_those_stored_is_left_out_whole(tmp_path: Path) -> None:
    """A branch hangs on a position, which must be of the same message."""
    grow("one")
    export("one", tmp_path / "first.jsonl")
    conversation("k", "two").append(Message.user("z", id="z"))
    with pytest.raises(CommandError):
        bring("two", tmp_path / "first.jsonl")
    assert [message.id for message in conversation("k", "two").messages()] == ["z"]


def test_a_child_may_seem_older_than_its_parent(tmp_path: Path) -> None:
    chat = conversation("k", "one")
    chat.append(*numbered_texts(2))
    chat.fork("parent").append(*numbered_texts(1, begin=10))
    conversation("k", "one", branch="parent").fork("child")
    Session.objects.filter(branch="child").update(created_at=datetime(2020, 1, 1, tzinfo=UTC))
    first = export("one", tmp_path / "first.jsonl")
    bring("two", tmp_path / "first.jsonl")
    assert export("two", tmp_path / "second.jsonl") == first


def talked_at_random(workspace: str, seed: int) -> None:
    """Asks, answers that cross, partial messages, other answers that are waited for, switches, cuts and clears."""
    drawn = random.Random(seed)

    def broken_off(chat: Conversation, state: str) -> None:
        with suppress(ConnectionError), chat.streaming() as stream:
            stream.write(f"So far {drawn.random()}")
            if state == "failed":
                raise ConnectionError
            chat.drafts.stop(stream.id)
            stream.flush()
            assert stream.stopped
            if state == "abandoned":
                Draft.objects.update(touched=1_000)
                chat.drafts.entries()
                raise ConnectionError

    def crossed(chat: Conversation) -> None:
        with chat.turn(Message.user(f"q {drawn.random()}")) as turn:
            chat.append(Message.user(f"meanwhile {drawn.random()}"))
            turn.append(Message.assistant(f"late {drawn.random()}"))

    steps: list[Callable[[Conversation], object]] = [
        lambda chat: chat.append(Message.user(f"q {drawn.random()}"), Message.assistant("a")),
        crossed,
        *(partial(broken_off, state=state) for state in ("failed", "stopped", "abandoned")),
        lambda chat: chat.regenerate(chat.count(), until=drawn.choice(("begun", "complete"))),
        lambda chat: chat.edit_and_branch(1, f"other {drawn.random()}"),
        lambda chat: chat.switch(drawn.choice(chat.branches()).name),
        lambda chat: conversation("k", workspace, branch=drawn.choice(chat.branches()).name).append(Message.user("b")),
        lambda chat: chat.clear() if drawn.random() < 0.3 else None,
    ]
    crossed(conversation("k", workspace))
    for _number in range(25):
        with suppress(MessageNotFound, ValidationError):
            drawn.choice(steps)(conversation("k", workspace))


def shown_everywhere(workspace: str) -> dict[str, Any]:
    """What every branch shows, whatever token counts hosts have, and what it waits for."""
    branches = conversation("k", workspace).branches()
    waiting = dict(Session.objects.filter(workspace__slug=workspace).values_list("branch", "pending"))
    return {
        branch.name: (
            branch.current,
            waiting[branch.name],
            [
                (each.id, each.seq, each.turn, each.state, each.content)
                for each in conversation("k", workspace, branch=branch.name).messages()
            ],
        )
        for branch in branches
    }


@pytest.mark.parametrize("seed", range(6))
def test_states_turns_and_what_branches_wait_for_travel(seed: int, tmp_path: Path) -> None:
    talked_at_random("one", seed)
    first = export("one", tmp_path / "first.jsonl")
    bring("two", tmp_path / "first.jsonl")
    assert shown_everywhere("two") == shown_everywhere("one")
    assert export("two", tmp_path / "second.jsonl") == first
    bring("two", tmp_path / "first.jsonl")
    assert export("two", tmp_path / "second.jsonl") == first


def test_the_walks_come_by_every_state() -> None:
    for seed in range(6):
        talked_at_random(f"w{seed}", seed)
    assert set(MessageRow.objects.values_list("state", flat=True)) == {"complete", "failed", "stopped", "abandoned"}
    assert MessageRow.objects.filter(crossed=True).exists()
    assert {"answered", "complete"} <= set(Session.objects.values_list("pending", flat=True))


def test_a_branch_that_waits_goes_on_waiting_after_an_import(tmp_path: Path) -> None:
    chat = conversation("k", "one")
    chat.append(Message.user("q", id="q"), Message.assistant("first", id="a"))
    made = chat.regenerate(2, until="begun").branch
    export("one", tmp_path / "f")
    bring("two", tmp_path / "f")
    brought = conversation("k", "two")
    assert brought.regenerate(2).branch == made
    receipt = conversation("k", "two", branch=made).append(Message.assistant("second"))
    assert (receipt.former_branch, [each.content for each in brought.messages()]) == ("main", ["q", "second"])


@pytest.mark.parametrize(
    "branch",
    [
        {"pending": "later"},
        {"pending": "answered", "current": True},
        {"pending": "edited", "messages": [{"role": "user", "content": "x"}]},
    ],
)
def test_what_no_branch_waits_for_is_named(branch: dict[str, Any]) -> None:
    line = {"key": "k", "messages": [], "branches": [{"name": "b", "messages": [], **branch}]}
    with pytest.raises(ValidationError) as caught:
        read_line(json.dumps(line).encode())
    assert caught.value.field == "branches[0].pending"
