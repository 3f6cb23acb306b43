"""Owns the clauses of ``window``, of ``locate``, and of the spans that they read; they apply to every adapter."""
# ruff: noqa: D102, S101  # clauses are tests, shipped: the name of one is its first sentence

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import msgspec
import pytest

from chat_memory.exceptions import WindowTooSmall
from chat_memory.records import Budget, Message, Span
from chat_memory.storage import windowing
from chat_memory.testing.conformance.kit import SENT_AT, Kit, at_once, positions, user, users

LETTERS = "aSuaSuaauaS"
"""A history, one letter per message: S is system, u user, a assistant. Messages before the first u are no turn."""
LONG = {
    "many turns": "SaS" + "uaSaaau" * 40,
    "a long newest turn": "SSuaSuaua" * 12 + "u" + "aS" * 5 + "a" * 150 + "S",
    "one turn": "S" + "a" * 20 + "u" + "aaS" * 30,
    "a greeting": "SSaaSa" + "ua" * 6,
    "no turn": "SaaSa",
}
WINDOWS = {
    "a turn": (Budget(turns=1), [2, 5, 9, 10, 11]),
    "two turns": (Budget(turns=2), [2, 5, 6, 7, 8, 9, 10, 11]),
    "all turns": (Budget(turns=3), [2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
    "more turns than there are": (Budget(turns=9), [2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
    "turns alone": (Budget(turns=2, system=False), [6, 7, 8, 9, 10]),
    "of a turn that is too long the question": (Budget(messages=1), [2, 5, 9, 11]),
    "messages to a turn": (Budget(messages=2), [2, 5, 9, 10, 11]),
    "messages within a turn": (Budget(messages=4), [2, 5, 9, 10, 11]),
    "messages to the next turn": (Budget(messages=5), [2, 5, 6, 7, 8, 9, 10, 11]),
    "messages before the first turn": (Budget(messages=8), [2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
    "messages alone": (Budget(messages=2, system=False), [9, 10]),
    "a question alone": (Budget(messages=1, system=False), [9]),
    "all turns and what precedes them": (Budget(turns=3, greeting=True), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
    "not all turns": (Budget(turns=2, greeting=True), [2, 5, 6, 7, 8, 9, 10, 11]),
    "messages for what precedes the turns": (Budget(messages=8, greeting=True), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
    "one message less": (Budget(messages=7, greeting=True), [2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
    "tokens for what precedes the turns": (Budget(tokens=110, greeting=True), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
    "tokens to a turn": (Budget(tokens=50), [2, 5, 9, 10, 11]),
    "tokens to the next turn": (Budget(tokens=80), [2, 5, 6, 7, 8, 9, 10, 11]),
    "one token less": (Budget(tokens=79), [2, 5, 9, 10, 11]),
    "tokens for two system messages": (Budget(tokens=40), [5, 9, 10, 11]),
    "tokens for one system message": (Budget(tokens=30), [9, 10, 11]),
    "no tokens for a system message": (Budget(tokens=29), [9, 10]),
    "tokens for the question alone": (Budget(tokens=19), [9]),
    "tokens alone": (Budget(tokens=20, system=False), [9, 10]),
}


def messages_of(letters: str) -> list[Message]:
    """A message of 10 tokens for each letter of a history such as LETTERS."""
    roles = {"S": "system", "u": "user", "a": "assistant"}
    return [
        Message(roles[letter], letter, id=f"{number}", created_at=SENT_AT, tokens=10)
        for number, letter in enumerate(letters, 1)
    ]


def outcome(window: Callable[[], list[Message] | None]) -> object:
    """The positions in a window; where it is refused, what it needs."""
    try:
        return positions(window() or [])
    except WindowTooSmall as refusal:
        return str(refusal)


class WindowClauses(Kit):
    """See ``MessageStore.window`` and ``MessageStore.locate``."""

    @pytest.mark.parametrize("name", WINDOWS)
    def test_window_takes_whole_turns_and_the_system_messages(self, name: str) -> None:
        """The budget is kept exactly, the newest turns are returned, and the first turn begins with a user message."""
        budget, expected = WINDOWS[name]
        header = self.messages.append(self.at(), messages_of(LETTERS)).header
        found = self.messages.window(self.at(), budget)
        assert positions(found.messages) == expected
        assert found.header == header
        assert found.messages == [m for m in self.messages.read(self.at()).messages if m.seq in expected]

    @pytest.mark.parametrize("system", [True, False])
    @pytest.mark.parametrize("unit", ["turns", "messages", "tokens"])
    def test_window_of_a_long_history(self, unit: str, system: bool) -> None:
        """The window of a long history equals the one that is computed from all its messages."""
        for name, letters in LONG.items():
            self.messages.append(self.at(name), messages_of(letters))
            every = self.messages.read(self.at(name)).messages
            for size in (
                1,
                2,
                3,
                10,
                20,
                30,
                40,
                63,
                64,
                65,
                66,
                79,
                80,
                81,
                160,
                200,
                280,
                1_000,
                1_300,
                2_000,
                9_999,
            ):
                for greeting in (False, True):
                    budget = Budget(**{unit: size}, system=system, greeting=greeting)
                    expected = outcome(partial(windowing.newest_turns, every, budget, has_all=True))
                    assert outcome(partial(self._window, name, budget)) == expected

    def _window(self, key: str, budget: Budget) -> list[Message]:
        return self.messages.window(self.at(key), budget).messages

    def test_window_within_a_size(self) -> None:
        """All if it fits; else system messages, the newest question and the newest messages, marked as truncated."""
        said = [msgspec.structs.replace(message, content="x" * 1_000) for message in messages_of("SSuauaua")]
        self.messages.append(self.at(), said)
        budget = Budget(turns=9)
        whole = self.messages.window(self.at(), budget)
        for size, most, expected in (
            (8, 100_000, ([1, 2, 3, 4, 5, 6, 7, 8], False)),
            (4, 100_000, ([1, 2, 7, 8], True)),
            (1, 100_000, ([7], True)),
            (9, 5_000, ([1, 2, 7, 8], True)),
            (9, 1, ([7], True)),
        ):
            found, cut = self.messages.window_within(self.at(), budget, size=size, most=most)
            assert (positions(found.messages), cut) == expected
            assert found.header == whole.header
            assert all(message in whole.messages for message in found.messages)
        with pytest.raises(WindowTooSmall):
            self.messages.window_within(self.at(), Budget(tokens=1), size=9, most=1)

    def test_window_says_how_many_tokens_it_needs(self) -> None:
        """The system messages that open the conversation, and the newest question."""
        self.messages.append(self.at(), messages_of("SSuaSua"))
        with pytest.raises(WindowTooSmall) as refusal:
            self.messages.window(self.at(), Budget(tokens=29))
        assert (refusal.value.needed, refusal.value.budget) == (30, 29)
        assert positions(self.messages.window(self.at(), Budget(tokens=30)).messages) == [1, 2, 6]
        with pytest.raises(WindowTooSmall):
            self.messages.window(self.at(), Budget(tokens=9, system=False))

    def test_results_of_tool_calls_alone_begin_no_turn(self) -> None:
        """Some providers' formats carry tool results in a user message."""
        said = messages_of("uauaua")
        for index, part in enumerate(({"type": "tool_result", "tool_use_id": "a"}, {"toolResult": {"toolUseId": "b"}})):
            said[2 + 2 * index] = msgspec.structs.replace(said[2 + 2 * index], content=[part])
        self.messages.append(self.at(), said[:3])
        self.messages.append(self.at(), said[3:])
        assert positions(self.messages.window(self.at(), Budget(turns=1)).messages) == [1, 2, 3, 4, 5, 6]
        assert positions(self.messages.window(self.at(), Budget(messages=3)).messages) == [1, 5, 6]
        found = self.sessions.get(self.at())
        assert found is not None
        assert found.last_turn == 1

    def test_window_counts_no_tokens_where_none_are_known(self) -> None:
        uncounted = [user("a", tokens=None), user("b", tokens=4), user("c", tokens=None)]
        self.messages.append(self.at(), uncounted)
        assert positions(self.messages.window(self.at(), Budget(tokens=3)).messages) == [3]
        assert positions(self.messages.window(self.at(), Budget(tokens=4)).messages) == [1, 2, 3]

    @pytest.mark.parametrize("budget", [Budget(turns=2), Budget(messages=9), Budget(tokens=999)], ids=str)
    def test_window_shows_nothing_that_is_cleared(self, budget: Budget) -> None:
        """It also leaves out the visible rest of a turn whose beginning is hidden."""
        self.messages.append(self.at(), messages_of("Sua"))
        self.messages.clear(self.at())
        more = messages_of("SuaaaSua")[3:]
        self.messages.append(self.at(), more)
        assert positions(self.messages.window(self.at(), budget).messages) == [6, 7, 8]

    @pytest.mark.parametrize("letters", ["aaaS", "SuaaSaS"])
    def test_what_precedes_the_first_question_comes_whole_or_not_at_all(self, letters: str) -> None:
        """Also if there is no question, or if the question of the turn was cleared."""
        said, hidden = messages_of(letters), letters.find("u") + 1
        said[hidden] = msgspec.structs.replace(said[hidden], tokens=1)
        for part in (said[:hidden], said[hidden:]):
            self.messages.clear(self.at())
            self.messages.append(self.at(), part or users("hidden"))
        for system in (True, False):
            shown = [m for m in said[hidden:] if system or m.role != "system"]
            others = [m.id for m in shown if m.role != "system"]
            for unit, whole in (("turns", 1), ("messages", len(others)), ("tokens", sum(m.tokens or 0 for m in shown))):
                for size in range(1, whole + 2):
                    budget = Budget(**{unit: size}, system=system, greeting=True)
                    found = self.messages.window(self.at(), budget).messages
                    assert [m.id for m in found if m.role != "system"] == (others if size >= whole else [])

    def test_window_without_a_turn_is_the_system_messages(self) -> None:
        self.messages.append(self.at(), messages_of("aSa"))
        for budget in (Budget(turns=1), Budget(messages=5), Budget(tokens=99)):
            assert positions(self.messages.window(self.at(), budget).messages) == [2]

    def test_window_of_the_unknown_is_empty_and_makes_nothing(self) -> None:
        for at in (self.at(), self.at(branch="draft")):
            found = self.messages.window(at, Budget(turns=3))
            assert (found.messages, found.header) == ([], None)
        assert self.sessions.find(self.workspace) == []

    def test_window_is_of_one_moment(self) -> None:
        """The messages are those of the header's version; the writer appends a system message and a turn per call."""

        def write() -> None:
            for number in range(10):
                call = [Message("system", "", id=f"{number}s", created_at=SENT_AT), user(f"{number}u")]
                self.messages.append(self.at(), call)

        def watch() -> None:
            for _round in range(20):
                found = self.messages.window(self.at(), Budget(turns=1))
                last_seq = found.header.last_seq if found.header else 0
                assert positions(found.messages) == ([*range(1, last_seq, 2), last_seq] if last_seq else [])

        at_once(write, watch, watch)

    def test_system_messages_are_read_apart(self) -> None:
        header = self.messages.append(self.at(), messages_of(LETTERS)).header
        spans = {Span(): [2, 5, 11], Span(after=2): [5, 11], Span(before=11): [2, 5], Span(after=2, before=11): [5]}
        for span, expected in spans.items():
            found = self.messages.read(self.at(), msgspec.structs.replace(span, system=True))
            assert (positions(found.messages), found.header) == (expected, header)
        assert self.messages.read(self.at("unknown"), Span(system=True)).header is None
        self.messages.clear(self.at())
        assert self.ids(Span(system=True)) == []

    def test_locate_finds_a_visible_message(self) -> None:
        self.append("a", "A", "b")
        self.append("a", key="other")
        assert [self.messages.locate(self.at(), name) for name in ("a", "A", "b")] == [1, 2, 3]
        assert [self.messages.locate(self.at(), name) for name in ("c", "", "a ")] == [None] * 3
        assert self.messages.locate(self.at("other"), "b") is None
        assert self.messages.locate(self.at("unknown"), "a") is None
        self.messages.clear(self.at())
        self.append("c")
        assert [self.messages.locate(self.at(), name) for name in ("a", "b", "c")] == [None, None, 4]

    def test_a_new_conversation_is_found_under_both_names(self) -> None:
        """Before any switch, an address without a branch and one that names ``main`` read the same."""
        main = self.at(branch="main")
        self.messages.append(main, users("a"))
        self.append("b")
        assert self.messages.read(main) == self.messages.read(self.at())
        assert self.messages.peek(main) == self.messages.peek(self.at())
        assert self.sessions.get(main) == self.sessions.get(self.at())
        found = self.sessions.get(self.at())
        assert found is not None
        assert (found.branch, found.message_count) == ("main", 2)
        assert self.sessions.find(self.workspace) == [found]
        assert self.sessions.open(main) == (found, False)
        assert self.sessions.delete(main)
        assert self.header() is None
