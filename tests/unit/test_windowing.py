"""Windows by arithmetic over lists: which messages a budget takes, and how little is read to know."""

from functools import partial

import pytest
from hypothesis import example, given, strategies as st

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
    lambda unit, size, system: Budget(**{unit: size}, system=system),
    st.sampled_from(("turns", "messages", "tokens")),
    st.integers(1, 4 * FIRST_LOOK),
    st.booleans(),
)


def spent(budget: Budget, taken: list[Message]) -> int:
    """How much of a budget messages take."""
    said = [message for message in taken if message.role != "system"]
    if budget.turns is not None:
        return sum(message.role == "user" for message in said)
    if budget.messages is not None:
        return len(said)
    return sum(message.tokens or 0 for message in taken)


@given(histories, budgets)
@example(lettered("uaua"), Budget(tokens=2))
@example(lettered("Su"), Budget(tokens=1))
def test_a_window_is_the_longest_suffix_of_whole_turns_within_its_budget(
    messages: list[Message], budget: Budget
) -> None:
    size = budget.turns or budget.messages or budget.tokens or 0
    system = [message for message in messages if message.role == "system" and budget.system]
    said = [message for message in messages if message.role != "system"]
    starts = [index for index, message in enumerate(said) if message.role == "user"]
    suffixes = [sorted(system + said[start:], key=messages.index) for start in [*starts, len(said)]]
    fitting = [suffix for suffix in suffixes if spent(budget, suffix) <= size]
    assert read(partial(look, messages, []), budget).messages == (fitting[0] if fitting else [])


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
    assert looks == [Span(system=True), Span(last=FIRST_LOOK)]


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
