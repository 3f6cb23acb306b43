"""Owns the clauses of drafts that are written under the lease of a turn."""
# ruff: noqa: D102, S101  # clauses are tests, shipped: the name of one is its first sentence

from __future__ import annotations

from functools import partial

import pytest

from chat_memory.choices import State, TurnState
from chat_memory.exceptions import DraftLost, MessageConflict, TurnLost, TurnTaken
from chat_memory.records import Draft, HeldTurn, Lease, Message, NewDraft, TurnRight
from chat_memory.testing.conformance.crossing import CrossingClauses
from chat_memory.testing.conformance.drafts import DraftClauses, nothing
from chat_memory.testing.conformance.kit import answer, at_once, user, users, where
from chat_memory.testing.conformance.turns import ROUNDS, answering

in_turns = where("turns", "drafts")
on_branches = where("turns", "drafts", "branches")
LONG = 48 * 3600
"""Seconds; longer than the time after which a draft lapses."""


class TurnDraftClauses(DraftClauses, CrossingClauses):
    """See what ``DraftStore`` says about the right to a turn."""

    def streamed(self, held: HeldTurn, message_id: str, place: str | None = None) -> Lease:
        """A draft in a turn, with something written to it."""
        new = NewDraft(message_id, "assistant", place=place)
        lease = self.drafts.open(held.at, new, TurnRight(held, LONG))
        self.drafts.write(held.at, lease, "so far", 0)
        return lease

    @in_turns
    def test_a_draft_of_a_turn_becomes_a_message_of_it(self) -> None:
        held = self.take(user("q1"), lease=0)
        lease = self.streamed(held, "a1")
        assert [draft.turn for draft in self.drafts.all(self.at())] == [1]
        assert self.take("q1").holder == ""  # opening the draft renewed the lease
        self.append("q2")
        self.drafts.settle(held.at, lease.draft, self.saying_all(), right=TurnRight(held, 60))
        assert self.shown(turns=2) == [("q1", 1), ("a1", 1), ("q2", 2)]
        again = self.take("q1")
        assert (again.holder, again.seconds, [message.id for message in again.messages]) == ("", 0.0, ["a1"])

    @in_turns
    def test_a_turn_whose_draft_broke_off_is_not_answered(self) -> None:
        held = self.take(user("q"))
        lease, right = self.streamed(held, "a"), TurnRight(held, 0)
        self.drafts.settle(held.at, lease.draft, self.saying_all(State.FAILED.value), right=right)
        again = self.take("q")
        assert (bool(again.holder), [message.state for message in again.messages]) == (True, ["failed"])

    @in_turns
    def test_who_lost_the_right_to_a_turn_neither_begins_nor_ends_a_draft_of_it(self) -> None:
        held = self.take(user("q"), lease=0)
        lease = self.streamed(held, "a")
        self.turns.renew(held, lease=0)
        other = self.take("q")
        with pytest.raises(TurnLost):
            self.streamed(held, "b")
        for right in (TurnRight(held, 60), None):
            with pytest.raises(TurnLost):
                self.drafts.settle(held.at, lease.draft, self.saying_all(), right=right)
        assert self.drafts.settle(held.at, lease.draft, nothing, right=TurnRight(other, 60)).ended
        assert (self.ids(), self.drafts.all(self.at())) == (["q"], [])

    @in_turns
    def test_the_draft_of_a_turn_that_nobody_answers_is_stored_in_it(self) -> None:
        held = self.take(user("q1"))
        lease = self.streamed(held, "a1")
        self.append("q2")
        self.let_drafts_lapse()
        assert not self.drafts.settle(self.at(), lease.draft, self.saying_all(), lapsed=True).ended
        self.turns.release(held)
        assert self.drafts.settle(self.at(), lease.draft, self.saying_all(), lapsed=True).ended
        assert self.shown(turns=2) == [("q1", 1), ("a1", 1), ("q2", 2)]

    @in_turns
    def test_in_a_turn_a_partial_message_need_not_be_the_newest(self) -> None:
        held = self.take(user("q1"))
        self.tell(held, answer("part", state=State.FAILED.value))
        self.messages.append(self.at(), users("q2"))
        lease = self.streamed(held, "part", place="part")
        whole = Message("assistant", "whole", id="part", tokens=5)
        self.drafts.settle(held.at, lease.draft, lambda _draft, _stored: whole, right=TurnRight(held, 60))
        assert self.contents() == ["q1", "whole", "q2"]
        assert self.shown(turns=2) == [("q1", 1), ("part", 1), ("q2", 2)]

    @in_turns
    def test_nothing_comes_to_a_question_that_was_cleared_away(self) -> None:
        held = self.take(user("q"))
        lease = self.streamed(held, "a")
        self.messages.clear(self.at())
        self.turns.interrupt(held.at, before=1, state=TurnState.INTERRUPTED)
        assert self.turns.open(held.at) == []
        right = TurnRight(held, 60)
        for late in (
            partial(self.tell, held, answer("late")),
            partial(self.turns.renew, held, lease=60),
            partial(self.streamed, held, "b"),
            partial(self.drafts.settle, held.at, lease.draft, self.saying_all(), right=right),
        ):
            with pytest.raises(TurnLost):
                late()
        with pytest.raises(DraftLost):
            self.drafts.settle(held.at, lease.draft, self.saying_all())
        self.turns.release(held)
        assert (self.ids(), self.drafts.all(self.at())) == ([], [])

    @in_turns
    def test_a_draft_goes_with_the_question_that_it_answers(self) -> None:
        lease = self.streamed(self.take(user("q")), "a")
        assert self.pop() == "q"
        self.take(user("another"))
        assert self.drafts.all(self.at()) == []
        with pytest.raises(DraftLost):
            self.drafts.settle(self.at(), lease.draft, self.saying_all())
        assert self.ids() == ["another"]

    @on_branches
    def test_a_draft_goes_with_a_question_that_its_branch_alone_shows_no_more(self) -> None:
        self.append("q1", "q2")
        self.branches.fork(self.at(), "alt", 2, switch=True)
        self.streamed(self.take("q2"), "a2")
        assert self.pop() == "q2"
        assert (self.drafts.all(self.at()), self.ids(branch="main")) == ([], ["q1", "q2"])

    @in_turns
    def test_a_draft_in_the_place_of_a_message_that_was_cleared_away_goes(self) -> None:
        for lapsed in (True, False):
            self.messages.append(self.at(), [answer("part", state=State.FAILED.value)])
            lease = self.drafts.open(self.at(), NewDraft("part", "assistant", place="part"))
            self.messages.clear(self.at())
            self.let_drafts_lapse()
            try:
                ended = self.drafts.settle(self.at(), lease.draft, self.saying_all(), lapsed=lapsed).ended
            except DraftLost:
                ended = False
            assert (ended, self.drafts.all(self.at())) == (lapsed, [])
            self.sessions.delete(self.at())

    @answering
    def test_an_id_of_another_turn_is_no_replay(self) -> None:
        self.tell(self.take(user("q1")), answer("a"))
        held = self.take(user("q2"))
        for known in ("a", "q2"):
            with pytest.raises(MessageConflict):
                self.tell(held, answer("b"), answer(known))
        assert self.ids() == ["q1", "a", "q2"]

    @answering
    def test_of_several_questions_that_want_to_be_alone_one_is_answered(self) -> None:
        def taken(question: str) -> bool:
            try:
                return bool(self.take(question, alone=True).holder)
            except TurnTaken:
                return False

        for number in range(ROUNDS):
            names = [f"q{number}-{index}" for index in range(4)]
            self.messages.append(self.at(), users(*names))
            held = at_once(*(partial(taken, name) for name in names))
            assert sum(held) == 1
            self.turns.interrupt(self.at(), state=TurnState.INTERRUPTED)

    @on_branches
    def test_in_a_turn_a_partial_message_that_another_branch_shows_stays(self) -> None:
        """The other branch may have its own continuation after it, or get one later."""
        self.tell(self.take(user("q")), answer("part", state=State.FAILED.value), state=TurnState.FREE)
        self.branches.fork(self.at(), "alt", 2)
        for branch in ("main", "alt"):
            held = self.take("q", branch=branch)
            lease = self.streamed(held, f"of {branch}", place="part")
            assert (lease.draft.id, lease.replaced) == (f"of {branch}", None)
            self.drafts.settle(held.at, lease.draft, self.saying_all(), right=TurnRight(held, 60))
            assert self.ids(branch=branch) == ["q", "part", f"of {branch}"]

    @on_branches
    def test_so_does_one_that_another_branch_shows_by_the_end(self) -> None:
        held = self.take(user("q"))
        self.tell(held, answer("part", state=State.FAILED.value), state=TurnState.OPEN)
        lease = self.streamed(held, "a", place="part")
        self.branches.fork(self.at(), "alt", 2)

        def conclude(_draft: Draft, stored: Message | None) -> Message:
            return answer("part" if stored else "behind")

        self.drafts.settle(held.at, lease.draft, conclude, right=TurnRight(held, 60))
        assert (self.ids(), self.ids(branch="alt")) == (["q", "part", "behind"], ["q", "part"])
        assert [message.state for message in self.messages.read(self.at()).messages][1:] == ["failed", "complete"]

    @on_branches
    def test_a_question_that_its_branch_alone_shows_no_more_takes_its_turn_along(self) -> None:
        self.append("q1", "q2")
        self.branches.fork(self.at(), "alt", 2, switch=True)
        held = self.take("q2")
        self.pop()
        with pytest.raises(TurnLost):
            self.tell(held, answer("a2"))
        assert (self.ids(), self.ids(branch="main")) == (["q1"], ["q1", "q2"])
