"""Owns the clauses of ``TurnStore``: one caller at a time answers a question, and answers stay with their question."""
# ruff: noqa: D102, S101  # clauses are tests, shipped: the name of one is its first sentence

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from chat_memory.choices import TurnState
from chat_memory.exceptions import MessageConflict, TurnLost, TurnNotFound, TurnTaken
from chat_memory.records import Budget, Commit, HeldTurn, Message
from chat_memory.storage.changed import Kind
from chat_memory.testing.conformance.kit import SENT_AT, Kit, answer, at_once, user, where

answering = where("turns")
on_branches = where("turns", "branches")
ROUNDS = 4
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}


class TurnClauses(Kit):
    """See ``TurnStore``; a lease of 0 seconds has lapsed when the next call is made."""

    def take(self, question: str | Message, lease: float = 60, branch: str = "", **more: Any) -> HeldTurn:
        """Take the turn of a question as a new caller."""
        return self.turns.take(self.at(branch=branch), question, holder=str(uuid4()), lease=lease, **more)

    def tell(self, held: HeldTurn, *messages: Message, state: TurnState = TurnState.ANSWERED) -> Commit:
        """Append to a turn; the id of a message is its content."""
        return self.turns.append(held, messages, lease=60, state=state)

    def shown(self, **budget: Any) -> list[tuple[str | None, int | None]]:
        """The ids and turns of a window's messages, in order."""
        window = self.messages.window(self.at(), Budget(**budget))
        return [(message.id, message.turn) for message in window.messages]

    @answering
    def test_a_new_question_is_stored_and_its_turn_is_taken(self) -> None:
        with self.listening() as events:
            held = self.take(user("q"), title="Named")
        assert (held.number, held.question.id, held.question.seq, held.question.turn) == (1, "q", 1, 1)
        assert (held.messages, bool(held.holder), held.seconds) == ((), True, 0.0)
        assert (held.at.branch, held.version) == ("main", 1)
        assert self.ids() == ["q"]
        record = self.sessions.get(self.at())
        assert record is not None
        assert (record.title, record.last_turn) == ("Named", 1)
        assert [(event.kind, event.first_seq, event.last_seq, event.made) for event in events] == [
            (Kind.APPENDED, 1, 1, True)
        ]

    @answering
    def test_a_turn_that_is_taken_is_not_given_twice(self) -> None:
        held = self.take(user("q"))
        for question in ("q", user("q")):
            other = self.take(question)
            assert (other.holder, other.number, other.question) == ("", 1, held.question)
            assert 0 < other.seconds <= 60
        assert self.ids() == ["q"]

    @answering
    def test_a_lease_that_lapsed_gives_the_turn_to_the_next(self) -> None:
        first = self.take(user("q"), lease=0)
        self.tell(first, answer("call", tool_calls=[CALL]), state=TurnState.OPEN)
        self.turns.renew(first, lease=0)
        second = self.take("q")
        assert second.holder
        assert [message.id for message in second.messages] == ["call"]
        before = self.header()
        for late in (partial(self.tell, first, answer("a")), partial(self.turns.renew, first, lease=60)):
            with pytest.raises(TurnLost):
                late()
        self.turns.release(first)
        assert self.header() == before
        assert not self.take("q").holder

    @answering
    def test_a_lapsed_lease_is_renewed_where_nobody_took_it(self) -> None:
        held = self.take(user("q"), lease=0)
        self.turns.renew(held, lease=60)
        assert not self.take("q").holder
        self.tell(held, answer("a"))
        assert self.ids() == ["q", "a"]

    @answering
    def test_an_append_renews_the_lease(self) -> None:
        held = self.take(user("q"), lease=0)
        self.tell(held, answer("call", tool_calls=[CALL]), state=TurnState.OPEN)
        assert not self.take("q").holder

    @answering
    def test_a_turn_that_is_given_up_can_be_taken(self) -> None:
        held = self.take(user("q"))
        self.turns.release(held)
        assert self.take("q").holder

    @answering
    def test_an_answered_question_is_not_answered_again(self) -> None:
        self.tell(self.take(user("q"), lease=0), answer("a"))
        again = self.take("q")
        assert (again.holder, again.seconds) == ("", 0.0)
        assert [message.id for message in again.messages] == ["a"]
        self.append("plain")
        self.messages.append(self.at(), [answer("of plain")])
        assert not self.take("plain").holder

    @answering
    def test_a_question_that_was_stored_otherwise_can_be_answered(self) -> None:
        self.append("q")
        held = self.take("q")
        assert held.holder
        assert not self.take("q").holder
        self.tell(held, answer("a"))
        assert self.ids() == ["q", "a"]

    @answering
    def test_a_repeated_append_is_a_replay_whatever_it_says(self) -> None:
        held = self.take(user("q"))
        stored = self.tell(held, answer("a")).messages
        other = Message("assistant", "something else", id="a", created_at=SENT_AT, tokens=5)
        with self.listening() as events:
            again = self.tell(held, other)
        assert (again.messages, again.change) == (stored, None)
        more = self.tell(held, other, answer("b"))
        assert [message.content for message in more.messages] == ["a", "b"]
        assert (self.ids(), events) == (["q", "a", "b"], [])

    @answering
    def test_a_question_with_other_content_is_refused(self) -> None:
        self.take(user("q"))
        with pytest.raises(MessageConflict):
            self.take(user("q", "something else"))
        assert self.contents() == ["q"]

    @answering
    def test_what_is_no_visible_question_has_no_turn(self) -> None:
        for _stored in range(2):
            for unknown in ("unknown", "a"):
                with pytest.raises(TurnNotFound):
                    self.take(unknown)
            self.append("q")
            self.messages.append(self.at(), [answer("a")])
            if self.ids() == ["q", "a"]:
                continue
        self.messages.clear(self.at())
        for hidden in ("q", user("q")):
            with pytest.raises(TurnNotFound):
                self.take(hidden)

    @answering
    def test_alone_refuses_beside_another_question_and_stores_nothing(self) -> None:
        first = self.take(user("q1"))
        self.append("stored")
        for question in (user("q2"), "stored"):
            with pytest.raises(TurnTaken) as caught:
                self.take(question, alone=True)
            assert (caught.value.turn, caught.value.seconds > 0) == (1, True)
        assert self.ids() == ["q1", "stored"]
        self.tell(first, answer("a1"))
        assert self.take("stored", alone=True).holder

    @answering
    def test_turns_that_are_being_answered_are_told(self) -> None:
        assert self.turns.open(self.at()) == []
        first, second, _third = self.take(user("q1")), self.take(user("q2")), self.take(user("q3"), lease=0)
        fourth = self.take(user("q4"))
        self.turns.release(fourth)
        assert [(turn.number, turn.seq) for turn in self.turns.open(self.at())] == [(1, 1), (2, 2)]
        self.tell(first, answer("a1"))
        assert [turn.number for turn in self.turns.open(second.at)] == [2]

    @answering
    def test_who_is_interrupted_appends_no_more_and_what_was_stored_stays(self) -> None:
        first, second, third = self.take(user("q1")), self.take(user("q2")), self.take(user("q3"))
        self.tell(first, answer("call", tool_calls=[CALL]), state=TurnState.OPEN)
        ended = self.turns.interrupt(third.at, before=3, state=TurnState.INTERRUPTED)
        assert [(turn.number, turn.seq) for turn in ended] == [(1, 1), (2, 2)]
        for held in (first, second):
            with pytest.raises(TurnLost):
                self.tell(held, answer("late"))
        self.tell(third, answer("a3"))
        assert self.ids() == ["q1", "q2", "q3", "call", "a3"]
        assert self.take("q1").holder
        assert self.turns.interrupt(third.at, before=1, state=TurnState.INTERRUPTED) == []

    @answering
    def test_rights_move_no_version(self) -> None:
        held = self.take(user("q"))
        before = self.header()
        with self.listening() as events:
            self.turns.renew(held, lease=60)
            self.turns.interrupt(held.at, state=TurnState.INTERRUPTED)
            self.turns.release(self.take("q"))
        assert (self.header(), events) == (before, [])

    @answering
    def test_of_several_callers_one_answers(self) -> None:
        for number in range(ROUNDS):
            self.append(f"s{number}")
            for question in (user(f"q{number}"), f"s{number}"):
                held = at_once(*[partial(self.take, question)] * 8)
                assert len([each for each in held if each.holder]) == 1
                assert len({each.question.seq for each in held}) == 1

    @answering
    def test_a_question_that_is_taken_off_takes_its_turn_along(self) -> None:
        held = self.take(user("q"))
        self.pop()
        with pytest.raises(TurnLost):
            self.tell(held, answer("a"))
        again = self.take(user("another"))
        assert (again.number, bool(again.holder)) == (1, True)
        assert self.ids() == ["another"]

    @answering
    def test_a_removed_conversation_takes_its_turns_along(self) -> None:
        held = self.take(user("q"))
        self.sessions.delete(self.at())
        with pytest.raises(TurnLost):
            self.tell(held, answer("a"))
        again = self.take(user("q"))
        with pytest.raises(TurnLost):
            self.tell(held, answer("a"))
        assert (again.number, self.ids()) == (1, ["q"])

    @on_branches
    def test_a_question_is_found_on_its_branch_whichever_is_current(self) -> None:
        self.append("q1")
        self.branches.fork(self.at(), "alt", 1, switch=True)
        held = self.take(user("q2"))
        assert (held.at.branch, held.number) == ("alt", 2)
        self.branches.switch(self.at(), "main")
        self.append("of main")
        for question in ("q2", user("q2")):
            assert (self.take(question).holder, self.take(question).at.branch) == ("", "alt")
        self.tell(held, answer("a2"))
        assert self.ids(branch="alt") == ["q1", "q2", "a2"]
        assert self.ids() == ["q1", "of main"]

    @on_branches
    def test_each_branch_answers_a_shared_question_itself(self) -> None:
        first = self.take(user("q1"))
        self.append("q2")
        self.tell(first, answer("a1"))
        self.branches.fork(self.at(), "alt", 2, switch=True)
        held = self.take("q1")
        assert (held.at.branch, held.number, held.messages, bool(held.holder)) == ("alt", 1, (), True)
        self.tell(held, answer("another a1"))
        assert self.shown(turns=9) == [("q1", 1), ("another a1", 1), ("q2", 2)]
        assert self.shown(turns=1) == [("q2", 2)]
        assert self.shown(messages=2) == [("q2", 2)]
        assert self.shown(turns=9, until=1) == [("q1", 1), ("another a1", 1)]
        assert self.take("q1", branch="main").messages[0].id == "a1"
