"""Where a history is cut: what a summary takes the place of, and what is kept before a new answer."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from chat_memory import Message, Summary, ValidationError
from chat_memory.history import selection
from chat_memory.records import Budget
from chat_memory.rules.numbers import budget as budget_of
from tests.conversations import positions
from tests.histories import callers, calling, histories, numbered, parted, without_system

pytestmark = pytest.mark.once


@settings(max_examples=200)
@given(histories, st.integers(0, 45))
def test_what_a_summary_covers_goes_as_far_as_whole_turns_and_pairs_allow(history: list[Message], covered: int) -> None:
    covered %= len(history) + 1
    after = selection.uncovered(history, covered)
    assert [each for each in after if each.role == "system"] == [each for each in history if each.role == "system"]
    assert all((message.seq or 0) <= covered for message in history if message not in after)
    dialogue, left = without_system(history), without_system(after)
    assert left == dialogue[len(dialogue) - len(left) :]
    assert left == dialogue or not separated(dialogue, left)
    for n, message in enumerate(left[1:], 1):  # no further turn could go
        if message.role == "user" and all((one.seq or 0) <= covered for one in left[:n]):
            assert separated(dialogue, left[n:])


def separated(dialogue: Sequence[Message], ending: Sequence[Message]) -> bool:
    """Whether a result is in the ending and its call before it."""
    early = [message.seq for message in dialogue[: len(dialogue) - len(ending)]]
    return any(callers(dialogue)[seq] in early for seq in parted(dialogue, ending))


@settings(max_examples=200)
@given(histories, st.integers(0, 45))
def test_a_new_answer_keeps_all_that_is_before_it_and_parts_no_pair(history: list[Message], at: int) -> None:
    at %= len(history) + 2
    kept = selection.last_kept(traits(history), at)
    if not 1 <= at <= len(history):
        assert kept is None
        return
    assert kept is not None
    wanted = at if history[at - 1].role == "user" else at - 1
    parted = {cut for cut in range(wanted + 1) if parts(history, cut)}
    assert kept == max(set(range(wanted + 1)) - parted)


def traits(history: Sequence[Message]) -> list[selection.Trait]:
    return [selection.Trait.of(message) for message in history]


def parts(history: Sequence[Message], cut: int) -> bool:
    """Whether a call is kept without one of its results, or without a result that was never asked for."""
    lost = set(parted(history, history[:cut]))
    return bool(lost & {message.seq for message in history[cut:]})


@settings(max_examples=200)
@given(histories.filter(bool), st.integers(0, 45))
def test_a_new_answer_needs_no_more_than_what_follows_it_where_nothing_there_is_orphaned(
    history: list[Message], at: int
) -> None:
    at = at % len(history) + 1
    rest = history[at - 1 :]
    if not selection.orphaned(traits(rest)):
        assert selection.last_kept(traits(rest), at) == selection.last_kept(traits(history), at)


LATE = numbered(
    [
        Message.system("s"),
        Message.user("slow job"),
        calling("c1", "c2"),
        Message.tool("1", tool_call_id="c1"),
        Message.user("still there?"),
        Message.tool("2", tool_call_id="c2"),
        Message.assistant("done"),
    ]
)
"""One of two results comes after the next question."""


def test_a_covered_turn_stays_where_a_later_one_answers_its_call() -> None:
    assert positions(selection.uncovered(LATE, 4)) == [1, 2, 3, 4, 5, 6, 7]
    assert positions(selection.uncovered(LATE, 7)) == [1]


def test_a_new_answer_begins_before_the_call_of_a_late_result() -> None:
    """The question in between goes with it."""
    assert [selection.last_kept(traits(LATE), at) for at in range(9)] == [None, 0, 2, 2, 2, 2, 2, 6, None]


def test_a_summary_stands_after_the_system_messages_that_open_the_conversation() -> None:
    made: Any = Summary(1, 4, "they greeted", "m", 9, None)  # type: ignore[arg-type]  # the time is not shown
    history = numbered([Message.system("be kind"), Message.user("u"), Message.system("be brief"), Message.user("v")])
    shown = selection.with_summary(history, made)
    assert [message.content for message in shown] == [
        "be kind",
        "Previous conversation summary: they greeted",
        "u",
        "be brief",
        "v",
    ]
    assert (shown[1].role, shown[1].tokens) == ("system", 9)
    assert [message.content for message in selection.with_summary([], made)] == [shown[1].content]


@pytest.mark.parametrize(
    ("sizes", "field"),
    [
        ({}, "window"),
        ({"turns": 1, "tokens": 1}, "window"),
        ({"turns": 0, "messages": 0}, "window"),
        ({"turns": -1}, "turns"),
        ({"messages": -2}, "messages"),
        ({"tokens": 1.5}, "tokens"),
        ({"turns": True}, "turns"),
        ({"turns": "3"}, "turns"),
        ({"turns": 3, "system": None}, "system"),
        ({"turns": 3, "min_version": -1}, "min_version"),
        ({"turns": 3, "min_version": None}, "min_version"),
    ],
)
def test_a_budget_is_one_whole_number_from_0(sizes: dict[str, Any], field: str) -> None:
    """FEATURES N35, J14."""
    given_sizes = {"turns": None, "messages": None, "tokens": None, "system": True, "min_version": 0, **sizes}
    with pytest.raises(ValidationError) as refusal:
        budget_of(**given_sizes)
    assert refusal.value.field == field
    assert isinstance(refusal.value, ValueError)


def test_a_budget_of_0_is_nothing() -> None:
    assert budget_of(0, None, None, system=True, min_version=0) is None
    seven = budget_of(None, None, 7, system=False, min_version=2)
    assert seven == Budget(tokens=7, system=False, min_version=2)
