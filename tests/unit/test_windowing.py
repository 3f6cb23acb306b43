"""Windows by arithmetic over lists: which messages a budget takes, and how little is read to know."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import example, given, settings, strategies as st

from chat_memory.exceptions import WindowTooSmall
from chat_memory.records import Budget, Header, Message, Slice, Span, uuid7
from chat_memory.storage.windowing import FIRST_LOOK, newest_turns, read

pytestmark = pytest.mark.once

ROLES = {"S": "system", "u": "user", "a": "assistant", "t": "tool"}
HEADER = Header(uuid7(), 1, 1, 1)


def lettered(letters: str, tokens: list[int | None] | None = None) -> list[Message]:
    """A message for each letter."""
    counts = tokens or [1] * len(letters)
    pairs = enumerate(zip(letters, counts, strict=True), 1)
    return [Message(ROLES[letter], letter, seq=seq, tokens=count) for seq, (letter, count) in pairs]


def look(messages: list[Message], looks: list[Span], span: Span) -> Slice:
    """A read of a conversation that remembers what it was asked."""
    looks.append(span)
    found = [message for message in messages if message.role == "system"] if span.system else messages
    return Slice(found[-span.last :] if span.last else found, HEADER)


histories = st.lists(st.tuples(st.sampled_from("Suat"), st.none() | st.integers(0, 9)), max_size=3 * FIRST_LOOK).map(
    lambda pairs: lettered("".join(letter for letter, _count in pairs), [count for _letter, count in pairs])
)
budgets = st.builds(
    lambda unit, size, system, greeting: Budget(**{unit: size}, system=system, greeting=greeting),
    st.sampled_from(("turns", "messages", "tokens")),
    st.integers(1, 20) | st.integers(1, 4 * FIRST_LOOK),
    st.booleans(),
    st.booleans(),
)


def said_by(budget: Budget, messages: list[Message]) -> list[Message] | WindowTooSmall:
    """The window by definition, by trying every choice that there is, the best first."""
    system = [message for message in messages if message.role == "system" and budget.system]
    said = [message for message in messages if message.role != "system"]
    starts = [index for index, message in enumerate(said) if message.role == "user"]
    first = min((message.seq or 0 for message in messages), default=0)
    leading = [message for n, message in enumerate(system) if message.seq == first + n]
    endings = [said[start:] for start in starts]
    if budget.greeting:
        endings = [said, *endings]
    choices = [[*system, *ending] for ending in endings if not starts or len(ending) >= len(endings[-1])]
    newest = said[starts[-1] :] if starts else []
    partly = [[*newest[:1], *newest[len(newest) - n :]] for n in range(len(newest) - 1, -1, -1)] or [[]]
    notes = [system[len(system) - n :] for n in range(len(system) - len(leading), -1, -1)]
    choices += [[*leading, *some, *ending] for ending in partly for some in notes]
    for choice in choices:
        if fits(budget, choice):
            return sorted(choice, key=lambda message: message.seq or 0)
    return WindowTooSmall(sum(message.tokens or 0 for message in [*leading, *newest[:1]]), budget.tokens or 0)


def fits(budget: Budget, taken: list[Message]) -> bool:
    said = [message for message in taken if message.role != "system"]
    return (
        (budget.turns is None or sum(message.role == "user" for message in said) <= budget.turns)
        and (budget.messages is None or len(said) <= budget.messages)
        and (budget.tokens is None or sum(message.tokens or 0 for message in taken) <= budget.tokens)
    )


def window_or_refusal(window: Callable[[], Any]) -> Any:
    try:
        return window()
    except WindowTooSmall as refusal:
        return refusal.needed, refusal.budget


@settings(max_examples=300)
@given(histories, budgets)
@example(lettered("uaua"), Budget(tokens=2))
@example(lettered("Su"), Budget(tokens=1))
@example(lettered("uaSaS"), Budget(tokens=4))
def test_a_window_is_the_best_choice_within_its_budget(messages: list[Message], budget: Budget) -> None:
    best = said_by(budget, messages)
    expected = (best.needed, best.budget) if isinstance(best, WindowTooSmall) else best
    assert window_or_refusal(lambda: read(partial(look, messages, []), budget).messages) == expected


def test_r9_old_notes_of_the_system_do_not_push_out_the_newest_question() -> None:
    noted = lettered("S" + "uaS" * 50 + "ua", [40, *[5, 5, 40] * 50, 5, 5])
    shown = read(partial(look, noted, []), Budget(tokens=200)).messages
    assert [message.seq for message in shown] == [1, 145, 148, 151, 152, 153]
    assert sum(message.tokens or 0 for message in shown) <= 200


def test_r7_of_a_turn_that_does_not_fit_the_question_and_the_newest_come() -> None:
    agent = lettered("S" + "ua" * 3 + "u" + "at" * 30)
    for budget in (Budget(messages=5), Budget(tokens=6)):
        assert [message.seq for message in read(partial(look, agent, []), budget).messages] == [1, 8, 65, 66, 67, 68]
    with pytest.raises(WindowTooSmall) as refusal:
        read(partial(look, agent, []), Budget(tokens=1))
    assert (refusal.value.needed, refusal.value.budget) == (2, 1)
    assert "2" in str(refusal.value)


def test_what_the_newest_messages_cannot_tell_is_not_guessed() -> None:
    newest = lettered("aua")
    for budget in (Budget(turns=2), Budget(messages=4), Budget(tokens=9)):
        assert newest_turns(newest, budget, [], has_all=False) is None
        assert newest_turns(newest, budget, [], has_all=True) == newest[1:]
    assert newest_turns(newest, Budget(turns=1), [], has_all=False) == newest[1:]
    assert newest_turns(newest, Budget(messages=2), [], has_all=False) == newest[1:]


def test_a_small_window_reads_little_of_a_long_history() -> None:
    looks: list[Span] = []
    found = read(partial(look, lettered("ua" * 5_000), looks), Budget(turns=10))
    assert len(found.messages) == 20
    assert looks == [Span(system=True), Span(last=25)]


def test_a_wide_window_looks_again_until_it_knows() -> None:
    looks: list[Span] = []
    found = read(partial(look, lettered("ua" * 500), looks), Budget(messages=600, system=False))
    assert len(found.messages) == 600
    assert [span.last for span in looks] == [64, 256, 1_024]


def test_a_window_is_of_one_state() -> None:
    """Where something was stored between the two reads both are made again."""
    states = [(lettered("Su"), HEADER), *[(lettered("SuSu"), Header(HEADER.session_id, 1, 2, 2))] * 3]
    seen: list[Span] = []

    def change(span: Span) -> Slice:
        messages, header = states[len(seen)]
        return Slice(look(messages, seen, span).messages, header)

    found = read(change, Budget(turns=1))
    assert [message.seq for message in found.messages] == [1, 3, 4]
    assert found.header == states[-1][1]
    assert len(seen) == 4


def test_nothing_stored_is_an_empty_window() -> None:
    assert read(lambda _span: Slice([], None), Budget(turns=1)) == Slice([], None)
