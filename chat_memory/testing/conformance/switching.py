"""Owns the clauses of a conversation's current branch: switches, and versions that never decrease."""
# ruff: noqa: D102, S101  # clauses are tests, shipped: the name of one is its first sentence

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from chat_memory.exceptions import BranchNotFound
from chat_memory.testing.conformance.branches import branched
from chat_memory.testing.conformance.kit import Kit, users


class SwitchClauses(Kit):
    """See ``BranchStore.switch``, and ``fork`` with ``switch``."""

    @branched
    def test_a_switch_makes_another_branch_current(self) -> None:
        main = self.append("a", "b")
        self.branches.fork(self.at(), "draft", 1)
        header = self.branches.switch(self.at(), "draft")
        assert header is not None
        assert header == self.header() == self.header(branch="draft") == self.messages.peek(self.at())
        assert header.version > main.version
        assert self.ids() == ["a"]
        self.append("x")
        assert (self.ids(), self.ids(branch="draft")) == (["a", "x"], ["a", "x"])
        assert self.ids(branch="main") == ["a", "b"]
        assert self.current() == "draft"

    @branched
    def test_a_switch_to_the_current_branch_changes_nothing(self) -> None:
        before = self.append("a")
        assert self.branches.switch(self.at(), "main") is None
        self.branches.fork(self.at(), "draft", switch=True)
        current = self.header()
        assert self.branches.switch(self.at(), "draft") is None
        assert self.branches.switch(self.at(branch="main"), "draft") is None
        assert self.header() == current != before

    @branched
    def test_a_switch_back_shows_what_main_has_become(self) -> None:
        self.append("a")
        self.branches.fork(self.at(), "draft", switch=True)
        self.append("b", branch="main")
        self.append("x")
        header = self.branches.switch(self.at(branch="draft"), "main")
        assert header == self.header() == self.header(branch="main")
        assert self.ids() == ["a", "b"]
        assert self.current() == "main"

    @branched
    def test_a_switch_to_an_unknown_branch_is_refused(self) -> None:
        before = self.append("a")
        for key in ("k", "unknown"):
            with pytest.raises(BranchNotFound):
                self.branches.switch(self.at(key), "draft")
        assert self.header() == before
        assert self.branches.switch(self.at("unknown"), "main") is None
        assert self.sessions.get(self.at("unknown")) is None

    @branched
    def test_a_fork_may_be_current_from_the_same_moment_on(self) -> None:
        before = self.append("a", "b", "c")
        made, left = self.branches.fork(self.at(), "draft", 2, switch=True)
        header = self.header()
        assert header is not None
        assert left == before
        assert made.current
        assert made.version == header.version > left.version
        assert [branch.current for branch in self.branches.all(self.at())] == [False, True]
        assert (self.ids(), self.ids(branch="main")) == (["a", "b"], ["a", "b", "c"])
        assert self.append("x").last_seq == 3

    @branched
    def test_the_record_is_the_conversations_with_the_counters_of_the_current_branch(self) -> None:
        opened, _made = self.sessions.open(self.at(user_key="bob"), {"title": "t"})
        self.append("a", "b")
        self.branches.fork(self.at(), "draft", 1, switch=True)
        header = self.append("x", "y")
        record = self.sessions.get(self.at())
        assert record is not None
        assert (record.id, record.title, record.user_key) == (opened.id, "t", "bob")
        assert (record.branch, record.message_count, record.last_seq) == ("draft", 3, 3)
        assert (record.version, record.vtoken) == (header.version, header.vtoken)
        assert self.sessions.find(self.workspace) == [record]
        assert self.sessions.open(self.at()) == (record, False)
        main = self.sessions.get(self.at(branch="main"))
        assert main is not None
        assert (main.branch, main.message_count, main.id) == ("main", 2, opened.id)

    @branched
    def test_the_version_of_a_conversation_never_goes_back(self) -> None:
        """The version of the conversation increases with every change and switch, whichever branch is current."""
        self.append("a")
        steps: list[Callable[[], object]] = [
            *[partial(self.append, f"m{number}") for number in range(5)],
            lambda: self.branches.fork(self.at(), "draft", 1, switch=True),
            lambda: self.append("x"),
            lambda: self.branches.fork(self.at(), "low", 1),
            lambda: self.branches.switch(self.at(), "low"),
            lambda: self.messages.clear(self.at()),
            lambda: self.branches.switch(self.at(), "main"),
            lambda: self.sessions.update(self.at(), {"title": "t"}),
            lambda: self.branches.switch(self.at(), "draft"),
            lambda: self.sessions.delete(self.at(branch="draft")),
            lambda: self.append("z"),
        ]
        seen = [self.version()]
        for step in steps:
            step()
            seen.append(self.version())
        assert seen[7] == seen[8]  # a fork without a switch
        assert seen == sorted(seen)
        assert len(set(seen)) == len(seen) - 1
        assert self.current() == "main"

    @branched
    def test_main_is_current_again_when_the_current_branch_is_deleted(self) -> None:
        self.append("a", "b")
        self.branches.fork(self.at(), "draft", 1, switch=True)
        seen = self.append("x").version
        assert self.sessions.delete(self.at(branch="draft"))
        assert self.ids() == ["a", "b"]
        assert self.version() > seen
        assert self.current() == "main"

    @branched
    def test_addresses_that_remember_ids_follow_too(self) -> None:
        """The ids in an address are the conversation's, so an old address reads the branch that is current now."""
        record = self.sessions.open(self.at())[0]
        header = self.header()
        assert header is not None
        known = self.at(session_id=record.id, workspace_id=header.workspace_id)
        self.messages.append(known, users("a"))
        self.branches.fork(known, "draft", switch=True)
        self.messages.append(known, users("x"))
        assert [message.id for message in self.messages.read(known).messages] == ["a", "x"]
        assert self.messages.peek(known) == self.header(branch="draft")
        assert self.ids(branch="main") == ["a"]
