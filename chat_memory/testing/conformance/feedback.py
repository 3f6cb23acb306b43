"""Owns the clauses of feedback: one vote per person and message, the sums, and what deletes feedback."""
# ruff: noqa: D102, S101  # clauses are tests, shipped: the name of one is its first sentence

from __future__ import annotations

from functools import partial

import pytest

from chat_memory.exceptions import MessageNotFound, MessageRedacted
from chat_memory.records import FeedbackPlace, Person, Transcript, TranscriptFeedback, Verdict, Votes, as_utc
from chat_memory.storage.changed import Kind
from chat_memory.testing.conformance.kit import SENT_AT, Kit, answer, at_once, user, users, where

rated = where("feedback")

ANNA, BEN = Person(None, "anna"), Person(None, "ben")
GOOD, BAD = Verdict(1), Verdict(-1, "é\u2028 wrong")
WRITERS = 4


class FeedbackClauses(Kit):
    """See ``FeedbackStore``."""

    @rated
    def test_a_person_has_one_verdict_on_a_message(self) -> None:
        self.append(*"ab")
        first = self.feedback.give(self.at(), 2, GOOD, ANNA)
        assert (first.seq, first.message_id, first.vote, first.comment, first.user_key) == (2, "b", 1, "", "anna")
        assert first.created_at == first.updated_at == as_utc(first.created_at)
        changed = self.feedback.give(self.at(), "b", BAD, ANNA)
        assert (changed.vote, changed.comment, changed.created_at) == (-1, BAD.comment, first.created_at)
        assert changed.updated_at >= first.updated_at
        assert self.feedback.find(self.at()) == [changed]

    @rated
    def test_a_verdict_that_is_given_again_changes_nothing(self) -> None:
        self.append("a")
        with self.listening() as events:
            first = self.feedback.give(self.at(), 1, BAD, ANNA)
            assert self.feedback.give(self.at(), 1, BAD, ANNA) == first
        assert [(event.kind, event.first_seq, event.last_seq) for event in events] == [(Kind.RATED, 1, 1)]

    @rated
    def test_feedback_moves_no_version(self) -> None:
        self.append("a")
        before = self.header()
        with self.listening() as events:
            self.feedback.give(self.at(), 1, GOOD, ANNA)
            assert self.feedback.remove(self.at(), 1, ANNA) is True
            assert self.feedback.remove(self.at(), 1, ANNA) is False
        assert self.header() == before
        assert [(event.kind, event.header) for event in events] == [(Kind.RATED, before)] * 2
        assert self.feedback.find(self.at()) == []

    @rated
    def test_users_are_told_apart_by_their_ids_and_others_by_their_keys(self) -> None:
        self.append("a")
        for who in (Person(7, "7"), Person(8, "7"), Person(None, "7")):
            self.feedback.give(self.at(), 1, GOOD, who)
        assert [(each.user_id, each.user_key) for each in self.feedback.find(self.at())] == [
            (7, "7"),
            (8, "7"),
            (None, "7"),
        ]
        assert self.feedback.remove(self.at(), 1, Person(7, "another key"))
        assert [each.user_id for each in self.feedback.find(self.at())] == [8, None]

    @rated
    def test_feedback_on_what_is_not_shown_is_refused(self) -> None:
        for _stored in range(2):
            for place in (2, "unknown"):
                with pytest.raises(MessageNotFound):
                    self.feedback.give(self.at(), place, GOOD, ANNA)
                with pytest.raises(MessageNotFound):
                    self.feedback.remove(self.at(), place, ANNA)
            self.append("a")
        assert self.feedback.find(self.at("unknown")) == []
        assert self.feedback.totals(self.at("unknown")) == Votes()

    @rated
    def test_pages_are_in_the_order_of_the_messages(self) -> None:
        self.append(*"abc")
        for seq in (3, 1, 2):
            for who in (ANNA, BEN):
                self.feedback.give(self.at(), seq, GOOD, who)
        everything = self.feedback.find(self.at())
        assert [(each.seq, each.user_key) for each in everything] == [
            (seq, key) for seq in (1, 2, 3) for key in ("anna", "ben")
        ]
        third = everything[2].place
        assert self.feedback.find(self.at(), after=third, size=2) == everything[3:5]
        assert self.feedback.find(self.at(), before=third, size=1, backwards=True) == everything[1:2]
        assert self.feedback.find(self.at(), size=3) == everything[:3]
        assert self.feedback.find(self.at(), after=FeedbackPlace(2, 0), before=FeedbackPlace(3, 0)) == everything[2:4]

    @where("feedback", "branches")
    def test_feedback_is_on_every_branch_that_shares_the_message(self) -> None:
        self.append(*"abc")
        self.branches.fork(self.at(), "draft", 2)
        self.append("d", branch="draft")
        self.feedback.give(self.at(), 3, GOOD, ANNA)
        self.feedback.give(self.at(branch="draft"), 2, BAD, ANNA)
        self.feedback.give(self.at(branch="draft"), 3, GOOD, BEN)
        shown = {name: self.feedback.find(self.at(branch=name)) for name in ("main", "draft")}
        assert [(each.message_id, each.vote) for each in shown["main"]] == [("b", -1), ("c", 1)]
        assert [(each.message_id, each.vote) for each in shown["draft"]] == [("b", -1), ("d", 1)]
        assert self.feedback.totals(self.at(branch="draft")) == Votes(1, 1, 1)
        assert self.feedback.sums(self.workspace) == Votes(2, 1, 1)
        self.messages.clear(self.at(branch="draft"))
        assert self.feedback.find(self.at(branch="draft")) == []
        assert len(self.feedback.find(self.at(branch="main"))) == 2
        self.sessions.delete(self.at(branch="draft"))
        assert self.feedback.sums(self.workspace) == Votes(1, 1, 1)

    @rated
    def test_feedback_goes_with_its_message(self) -> None:
        self.append(*"abc")
        for seq in (1, 3):
            self.feedback.give(self.at(), seq, GOOD, ANNA)
        self.pop()
        self.append("d")
        assert [each.message_id for each in self.feedback.find(self.at())] == ["a"]
        self.sessions.delete(self.at())
        self.append("a")
        assert self.feedback.find(self.at()) == []
        assert self.feedback.sums(self.workspace) == Votes()

    @where("feedback", "edits")
    def test_a_redaction_takes_the_words_and_keeps_the_votes(self) -> None:
        named = answer("a", metadata={"model": "secret"})
        self.messages.append(self.at(), [named, answer("b")])
        for seq in (1, 2):
            self.feedback.give(self.at(), seq, BAD, ANNA)
        self.redact(1)
        redacted, other = self.feedback.find(self.at())
        assert (redacted.vote, redacted.comment, redacted.model) == (-1, "", "")
        assert other.comment == BAD.comment
        with pytest.raises(MessageRedacted):
            self.feedback.give(self.at(), 1, BAD, BEN)
        self.feedback.give(self.at(), 1, GOOD, BEN)
        assert self.feedback.totals(self.at()) == Votes(1, 2, 1)

    @where("feedback", "edits")
    def test_feedback_names_the_model_of_its_message(self) -> None:
        self.messages.append(
            self.at(), [answer("a", extra={"model": "m1"}, metadata={"model": "m2"}), answer("b"), user("c")]
        )
        for seq, verdict in ((1, GOOD), (2, BAD), (3, GOOD)):
            self.feedback.give(self.at(), seq, verdict, ANNA)
        self.rewrite(2, "b", metadata={"model": "m2"})
        self.feedback.give(self.at(), 2, GOOD, BEN)
        found = [(each.model, each.up, each.down) for each in self.feedback.by_model(self.workspace, size=9)]
        assert found == [("m2", 1, 1), ("", 1, 0), ("m1", 1, 0)]
        assert len(self.feedback.by_model(self.workspace, size=2)) == 2

    @rated
    def test_sums_are_of_one_workspace_and_of_a_time(self) -> None:
        self.append("a")
        self.append("a", key="other")
        given = [self.feedback.give(self.at(key), 1, BAD, ANNA) for key in ("k", "other")]
        (day,) = self.feedback.by_day(self.workspace, size=9)
        assert (day.day, day.up, day.down, day.comments) == (given[1].updated_at.date(), 0, 2, 2)
        last = given[1].updated_at
        assert self.feedback.sums(self.workspace, since=SENT_AT) == Votes(0, 2, 2)
        assert self.feedback.sums(self.workspace, until=SENT_AT) == Votes()
        assert self.feedback.sums(self.workspace, since=last).down >= 1
        assert self.feedback.sums(f"{self.workspace}-unknown") == Votes()
        assert self.feedback.by_day(f"{self.workspace}-unknown", size=9) == []

    @rated
    def test_several_who_vote_at_once_are_all_counted(self) -> None:
        self.append("a")
        people = [Person(None, f"p{number}") for number in range(WRITERS)]
        at_once(*(partial(self.feedback.give, self.at(), 1, GOOD, who) for who in people * 2))
        assert sorted(each.user_key for each in self.feedback.find(self.at())) == [who.user_key for who in people]

    @where("feedback", "archive")
    def test_a_restore_brings_feedback_once(self) -> None:
        given = [TranscriptFeedback("main", "b", -1, "anna", "why", SENT_AT)]
        transcript = Transcript("k", users("a", "b"), feedback=given)
        for _again in range(2):
            assert self.archive.restore([(self.at(), transcript)])[0].error is None
        (found,) = self.feedback.find(self.at())
        assert (found.seq, found.vote, found.comment, found.user_key) == (2, -1, "why", "anna")
        assert (found.created_at, found.updated_at) == (SENT_AT, SENT_AT)
        self.feedback.give(self.at(), 2, GOOD, ANNA)
        self.archive.restore([(self.at(), transcript)])
        assert self.feedback.totals(self.at()) == Votes(1)
        (refused,) = self.archive.restore([(self.at("new"), Transcript("new", users("a"), feedback=given))])
        assert isinstance(refused.error, MessageNotFound)
        assert self.sessions.get(self.at("new")) is None
