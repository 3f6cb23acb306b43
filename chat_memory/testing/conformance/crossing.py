"""Owns the clauses of crossed answers: answers that were stored after a later question."""
# ruff: noqa: D102, S101  # clauses are tests, shipped: the name of one is its first sentence

from __future__ import annotations

from chat_memory.records import Message
from chat_memory.storage.changed import Kind
from chat_memory.testing.conformance.kit import answer, user
from chat_memory.testing.conformance.turns import TurnClauses, answering, on_branches


class CrossingClauses(TurnClauses):
    """See ``TurnStore`` and ``MessageStore.window``."""

    @answering
    def test_an_answer_stands_with_its_question_in_every_window(self) -> None:
        first, second = self.take(user("q1")), self.take(user("q2"))
        third = self.take(user("q3"))
        with self.listening() as events:
            for held, text in ((third, "a3"), (first, "a1"), (second, "a2")):
                commit = self.tell(held, answer(text))
                assert [(message.id, message.turn) for message in commit.messages] == [(text, held.number)]
        assert [(event.kind, event.first_seq) for event in events] == [(Kind.APPENDED, seq) for seq in (4, 5, 6)]
        assert self.ids() == ["q1", "q2", "q3", "a3", "a1", "a2"]
        whole = [("q1", 1), ("a1", 1), ("q2", 2), ("a2", 2), ("q3", 3), ("a3", 3)]
        for number in range(1, 4):
            assert self.shown(turns=number) == whole[-2 * number :]
            assert self.shown(messages=2 * number + 1) == whole[-2 * number :]
            assert self.shown(tokens=10 * number + 4) == whole[-2 * number :]

    @answering
    def test_a_window_ends_with_the_turn_it_is_to_end_with(self) -> None:
        self.messages.append(self.at(), [Message("system", "S", id="S", created_at=user("").created_at, tokens=1)])
        first, second = self.take(user("q1")), self.take(user("q2"))
        self.tell(second, answer("a2"))
        self.append("q3")
        self.tell(first, answer("a1"))
        assert self.shown(turns=9, until=1) == [("S", 0), ("q1", 1), ("a1", 1)]
        for budget in ({"turns": 1}, {"messages": 2}, {"tokens": 11}):
            assert self.shown(**budget, until=2) == [("S", 0), ("q2", 2), ("a2", 2)]
            assert self.shown(**budget, until=2, system=False) == [("q2", 2), ("a2", 2)]
        assert self.shown(messages=1, until=1) == [("S", 0), ("q1", 1)]

    @answering
    def test_what_is_read_in_order_of_position_says_its_turn(self) -> None:
        first = self.take(user("q1"))
        self.append("q2")
        self.tell(first, answer("a1"))
        self.messages.append(self.at(), [answer("a2")])
        found = self.messages.read(self.at()).messages
        assert [(message.seq, message.turn) for message in found] == [(1, 1), (2, 2), (3, 1), (4, 2)]

    @answering
    def test_an_answer_that_crossed_is_taken_off_and_the_turns_go_on(self) -> None:
        first = self.take(user("q1"))
        self.append("q2")
        self.tell(first, answer("a1"))
        assert self.pop() == "a1"
        self.append("q3")
        assert [(message.id, message.turn) for message in self.messages.read(self.at()).messages] == [
            ("q1", 1),
            ("q2", 2),
            ("q3", 3),
        ]

    @on_branches
    def test_the_question_comes_first_where_its_turn_is_too_large_also_behind_an_answer_that_crossed(self) -> None:
        self.append("q1")
        for branch in ("main", "alt"):
            if branch != "main":
                self.branches.fork(self.at(), branch, 1, switch=True)
            first = self.take("q1", branch=branch)
            self.append(f"q2 {branch}")
            self.tell(first, answer(f"a1 {branch}"))
            last = self.take(user(f"q3 {branch}"))
            self.tell(last, answer(f"a3 {branch}"), answer(f"more {branch}"))
            for until in (None, last.number):
                assert self.shown(messages=1, until=until) == [(f"q3 {branch}", 3)]
                assert self.shown(messages=2, until=until) == [(f"q3 {branch}", 3), (f"more {branch}", 3)]

    @on_branches
    def test_a_fork_behind_an_answer_that_crossed_counts_the_turns_begun(self) -> None:
        first = self.take(user("q1"))
        self.append("q2")
        self.tell(first, answer("a1"))
        self.append("q3")
        for name, seq, number in (("after q1", 1, 2), ("after q2", 2, 3), ("after a1", 3, 3), ("after q3", 4, 4)):
            self.branches.fork(self.at(branch="main"), name, seq)
            assert self.take(user(f"of {name}"), branch=name).number == number
