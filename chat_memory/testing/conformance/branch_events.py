"""Owns the clauses of change events of branches, edits and summaries: one event per changed branch."""
# ruff: noqa: D102, S101  # clauses are tests, shipped: the name of one is its first sentence

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chat_memory.choices import CURRENT
from chat_memory.exceptions import ChatMemoryError
from chat_memory.records import Message, Summary
from chat_memory.storage.changed import Kind
from chat_memory.testing.conformance.branches import grow
from chat_memory.testing.conformance.events import EventKit
from chat_memory.testing.conformance.kit import SENT_AT, where


class BranchEventClauses(EventKit):
    """See ``storage.changed``."""

    @where("branches")
    def test_a_fork_is_sent(self) -> None:
        self.append("a", "b")
        with self.listening() as events:
            self.branches.fork(self.at(), "draft", 1)
        (event,) = events
        assert (event.kind, event.branch, event.parent, event.made) == (Kind.FORKED, "draft", "main", False)
        assert (event.first_seq, event.last_seq) == (None, 1)
        assert event.header == self.header(branch="draft")
        assert event.header is not None
        assert event.session_id == event.header.session_id

    @where("branches")
    def test_a_fork_that_makes_the_conversation_is_sent(self) -> None:
        """Two events: the session was opened, and the branch was forked; only the former has ``made``."""
        with self.listening() as events:
            self.branches.fork(self.at(), "draft")
        assert [(event.kind, event.branch, event.made) for event in events] == [
            (Kind.OPENED, "main", True),
            (Kind.FORKED, "draft", False),
        ]
        assert [event.header for event in events] == [self.header(branch="main"), self.header(branch="draft")]

    @where("branches")
    def test_a_fork_with_a_switch_is_sent(self) -> None:
        self.append("a")
        with self.listening() as events:
            self.branches.fork(self.at(), "draft", switch=True)
        assert [(event.kind, event.branch) for event in events] == [(Kind.FORKED, "draft"), (Kind.SWITCHED, "draft")]
        assert events[1].header == self.header() == self.header(branch="draft")

    @where("branches")
    def test_a_switch_is_sent_for_the_new_current_branch(self) -> None:
        self.append("a")
        self.branches.fork(self.at(), "draft")
        with self.listening() as events:
            header = self.branches.switch(self.at(), "draft")
        assert [(event.kind, event.branch, event.header) for event in events] == [(Kind.SWITCHED, "draft", header)]

    @where("branches")
    def test_changes_of_a_branch_are_sent_with_its_name(self) -> None:
        self.append("a")
        self.branches.fork(self.at(), "draft", switch=True)
        changes: list[Callable[[], Any]] = [
            lambda: self.append("b"),
            lambda: self.append("c", branch="draft"),
            lambda: self.append("d", branch="main"),
            lambda: self.messages.clear(self.at()),
            lambda: self.sessions.update(self.at(), {"title": "t"}),
            lambda: self.sessions.update(self.at(branch="main"), {"title": "u"}),
        ]
        for change, (asked, name) in zip(
            changes,
            [("", "draft"), ("draft", "draft"), ("main", "main"), ("", "draft"), ("", "draft"), ("main", "main")],
            strict=True,
        ):
            with self.listening() as events:
                change()
            (event,) = events
            assert (event.asked, event.branch, event.header) == (asked, name, self.header(branch=name))
            assert event.header is not None
            assert event.session_id == event.header.session_id

    @where("branches")
    def test_the_deletion_of_a_branch_is_sent(self) -> None:
        self.append("a")
        self.branches.fork(self.at(), "draft")
        gone = self.append("b", branch="draft")
        with self.listening() as events:
            self.sessions.delete(self.at(branch="draft"))
        assert events == [self.deleted_event(gone.session_id, branch="draft", asked="draft")]

    @where("branches")
    def test_the_deletion_of_a_conversation_is_sent_for_each_branch(self) -> None:
        grow(self)
        ids = {branch.name: self.header(branch=branch.name) for branch in self.branches.all(self.at())}
        with self.listening() as events:
            self.sessions.delete(self.at())
        assert {(event.kind, event.header) for event in events} == {(Kind.DELETED, None)}
        assert {event.asked for event in events} <= {CURRENT, "main"}
        assert sorted((event.branch, event.session_id) for event in events) == sorted(
            (name, header.session_id) for name, header in ids.items() if header
        )

    @where("branches")
    def test_the_deletion_of_the_current_branch_is_sent_with_the_switch_back(self) -> None:
        self.append("a")
        self.branches.fork(self.at(), "draft", switch=True)
        with self.listening() as events:
            self.sessions.delete(self.at(branch="draft"))
        assert sorted((event.kind, event.branch, event.header) for event in events) == [
            (Kind.DELETED, "draft", None),
            (Kind.SWITCHED, "main", self.header()),
        ]

    @where("branches")
    def test_refused_changes_of_a_branch_are_not_sent(self) -> None:
        grow(self)
        self.assert_refused_and_not_sent(
            lambda: self.branches.fork(self.at(), "one"),
            lambda: self.branches.fork(self.at(), "new", 9),
            lambda: self.branches.fork(self.at("unknown"), "new", 1),
            lambda: self.branches.switch(self.at(), "unknown"),
            lambda: self.sessions.delete(self.at(branch="one")),
        )
        with self.listening() as events:
            assert self.branches.switch(self.at(), "main") is None
            assert not self.sessions.delete(self.at(branch="unknown"))
        assert events == []

    @where("edits")
    def test_an_edit_is_sent(self) -> None:
        self.append("a", "b")
        with self.listening() as events:
            commit = self.rewrite(2, "new")
        assert events == [self.event(Kind.EDITED, commit.header, first_seq=2, last_seq=2, commit=commit)]

    @where("edits")
    def test_an_edit_that_is_refused_is_not_sent(self) -> None:
        self.append("a")

        def refuse(_stored: Message) -> Message:
            raise ChatMemoryError

        self.assert_refused_and_not_sent(lambda: self.rewrite(2, "new"), lambda: self.edits.edit(self.at(), 1, refuse))

    @where("edits", "branches")
    def test_an_edit_is_sent_for_each_branch_that_shows_the_message(self) -> None:
        grow(self)
        self.branches.fork(self.at(branch="main"), "early", 1)
        with self.listening() as events:
            self.rewrite(2, "new", branch="two")
        assert {(event.kind, event.first_seq, event.last_seq) for event in events} == {(Kind.EDITED, 2, 2)}
        sent = {event.branch: event.header for event in events}
        assert len(events) == len(sent)
        assert sent == {name: self.header(branch=name) for name in sent}
        assert {"main", "one", "two"} <= {*sent}
        assert [event.branch for event in events if event.commit] == ["two"]

    @where("summaries")
    def test_a_summary_is_sent_when_it_is_kept(self) -> None:
        self.append(*"abc")
        with self.listening() as events:
            released = self.summaries.claim(self.at(), 0)
            assert released is not None
            self.summaries.release(self.at(), released)
            claim = self.summaries.claim(self.at(), 1)
            assert claim is not None
            summary = Summary(claim.first_seq, claim.last_seq, "text", "", 1, SENT_AT)
            assert events == []
            assert self.summaries.keep(self.at(), claim, summary)
            assert not self.summaries.keep(self.at(), claim, summary)
        (event,) = events
        assert (event.kind, event.branch, event.first_seq, event.last_seq) == (Kind.SUMMARIZED, "main", 1, 2)
        assert event.header == self.header()
