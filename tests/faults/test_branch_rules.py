"""The rules of branches: who reads by which name sees which change, and what a change may not be made by."""

from collections.abc import Callable
from typing import Any

import pytest

from chat_memory import Message, conversation
from chat_memory.history.conversation import Conversation
from chat_memory.models import Session
from chat_memory.records import Span
from tests.faults.letters import read_letters, write_letters

pytestmark = pytest.mark.django_db(transaction=True)

MODES = ["off", "strict", "bounded"]
CACHED = ["strict", "bounded"]


def at(name: str) -> Conversation:
    """A branch by its name, for readers who do not follow the current branch."""
    return conversation("k", branch=name)


BRANCHINGS: dict[str, Callable[[], Any]] = {
    "truncate_after": lambda: conversation("k").truncate_after("a"),
    "switch": lambda: conversation("k").switch("short"),
    "edit": lambda: conversation("k").edit(2, "B"),
    "edit by name": lambda: at("main").edit(2, "B"),
    "redact by name": lambda: at("main").redact(2),
    "pop by name": lambda: at("main").pop(),
    "append by name": lambda: at("main").append(Message.user("c")),
    "clear by name": lambda: at("main").clear(),
}
SHOWN_THEN = {"truncate_after": "a", "switch": "a", "append by name": "abc", "clear by name": ""}
SHOWN_THEN |= {"redact by name": "a[redacted]", "pop by name": "a"}


@pytest.mark.parametrize("change", BRANCHINGS)
@pytest.mark.parametrize("mode", MODES, indirect=True)
def test_reader_of_the_current_branch_sees_a_change_of_branches(mode: str, change: str) -> None:
    """FEATURES N04, N47: whichever name the change was made by."""
    conversation("k").append(Message.user("a", id="a"), Message.user("b"))
    conversation("k").fork("short", at=1)
    assert read_letters() == "ab"
    BRANCHINGS[change]()
    assert read_letters() == SHOWN_THEN.get(change, "aB")


@pytest.mark.parametrize("change", [change for change in BRANCHINGS if change.endswith("by name")])
@pytest.mark.parametrize("mode", MODES, indirect=True)
def test_reader_of_a_branch_sees_a_change_of_it(mode: str, change: str) -> None:
    """FEATURES N04, N47: its own entry goes, not only that of the current branch."""
    write_letters("ab")
    assert read_letters(at("main")) == "ab"
    BRANCHINGS[change]()
    assert read_letters(at("main")) == SHOWN_THEN.get(change, "aB")


@pytest.mark.parametrize("mode", ["off", "strict"], indirect=True)
def test_reader_of_any_branch_sees_an_edit_of_what_it_shares(mode: str) -> None:
    """FEATURES N47: bounded readers of the other branches see it when their entry is too old."""
    write_letters("ab")
    conversation("k").fork("b").fork("c")
    assert [read_letters(at(name)) for name in ("main", "b", "c")] == ["ab"] * 3
    at("b").edit(2, "B")
    assert [read_letters(at(name)) for name in ("main", "b", "c")] == ["aB"] * 3


@pytest.mark.parametrize("mode", MODES, indirect=True)
def test_version_moves_on_with_every_switch(mode: str) -> None:
    """FEATURES N06: a version read of the branch that was current before admits nothing of it afterwards."""
    write_letters("ab")
    conversation("k").fork("b")
    versions = []
    for name in ("b", "main", "b", "main"):
        versions.append(conversation("k").append(Message.user("c")).version)
        conversation("k").switch(name)
        versions.append(conversation("k").append(Message.user("d")).version)
    assert versions == sorted(set(versions))


@pytest.mark.parametrize("mode", CACHED, indirect=True)
def test_append_to_a_branch_reaches_its_entry(mode: str, counted: list[str]) -> None:
    """FEATURES N04: what is said by name completes what is read by that name."""
    write_letters("a")
    conversation("k").fork("b")
    assert read_letters(at("b")) == "a"
    at("b").append(Message.user("b"))
    counted.clear()
    assert read_letters(at("b")) == "ab"
    assert counted == ["hits"]


@pytest.mark.parametrize("mode", ["strict"], indirect=True)
def test_row_that_is_no_longer_current_reads_the_current_branch(mode: str) -> None:
    """A handle of the first row stays that row's, while another branch answers; cold and warm."""
    write_letters("ab")
    row = Session.objects.get(workspace__slug="default", key="k", branch="main")
    conversation("k").fork("short", at=1).append(Message.user("c"))
    conversation("k").switch("short")
    assert [read_letters(row.history()) for _ in range(3)] == ["ac"] * 3


@pytest.mark.parametrize("mode", MODES, indirect=True)
def test_system_messages_are_not_all_messages(mode: str) -> None:
    """A warm entry is not what was asked for, and stays as it is."""
    conversation("k").append(Message.system("s"), Message.user("a"))
    assert read_letters() == "sa"
    assert [message.content for message in conversation("k").read(Span(system=True)).messages] == ["s"]
    assert read_letters() == "sa"


@pytest.mark.parametrize("mode", MODES, indirect=True)
def test_window_does_not_take_a_part_for_the_whole(mode: str, settings: Any) -> None:
    """FEATURES N07, N36: system messages and turns from before the tail that is cached belong to it."""
    settings.CHAT_MEMORY = {**settings.CHAT_MEMORY, "CACHE_TAIL": 2}
    conversation("k").append(Message.system("s"), Message.user("a"), Message.user("b"), Message.assistant("c"))
    for _ in range(2):
        chat = conversation("k")
        assert [message.content for message in chat.window(turns=1)] == ["s", "b", "c"]
        assert [message.content for message in chat.window(turns=2, system=False)] == ["a", "b", "c"]


AHEAD: dict[str, Callable[[], Any]] = {
    "edit": lambda: at("main").edit(2, "B").content,
    "until": lambda: [message.content for message in at("main").until("b")],
    "regenerate": lambda: read_letters(at("main").regenerate(2)),
    "merge": lambda: len(conversation("k").merge("main", "first").messages),
}


@pytest.mark.parametrize("call", AHEAD)
@pytest.mark.parametrize("mode", MODES, indirect=True)
def test_nothing_is_written_by_what_an_old_entry_says(mode: str, call: str) -> None:
    """FEATURES N06: bounded reads may be behind, but a change is made to what the database holds."""
    conversation("k").append(Message.user("a"))
    conversation("k").fork("first")
    assert read_letters(at("main")) == "a"
    conversation("k").append(Message.user("b", id="b"))
    assert AHEAD[call]() == {"edit": "B", "until": ["a", "b"], "regenerate": "ab", "merge": 1}[call]


@pytest.mark.parametrize("mode", MODES, indirect=True)
def test_version_of_the_current_branch_never_goes_back(mode: str) -> None:
    """FEATURES N06, N47: also where a branch that is not current is gone on with from an earlier message."""
    conversation("k").append(Message.user("a", id="a"), Message.user("b"))
    conversation("k").fork("long")
    conversation("k").switch("long")
    versions = [conversation("k").append(Message.user("c")).version for _ in range(3)]
    at("main").truncate_after("a")
    session = conversation("k").session()
    assert session is not None
    assert (read_letters(), session.version > max(versions)) == ("a", True)
