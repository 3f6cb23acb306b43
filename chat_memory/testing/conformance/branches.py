"""Owns the clauses of branches: what a fork shares, what it adds, where it may begin; one writer at a time."""
# ruff: noqa: D102, S101  # clauses are tests, shipped: the name of one is its first sentence

from __future__ import annotations

from datetime import UTC
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.test import override_settings

from chat_memory.exceptions import (
    BranchExists,
    BranchNotFound,
    MessageConflict,
    MessageNotFound,
    NotSupported,
    VersionConflict,
    WorkspaceNotFound,
)
from chat_memory.records import Branch, Budget, Message, Span
from chat_memory.testing.conformance.kit import SENT_AT, Kit, positions, user, users, where
from chat_memory.testing.conformance.reading import SPANS

branched = where("can_branch")


class BranchClauses(Kit):
    """See ``BranchStore``, and what the other verbs do on a branch."""

    def test_without_branches_they_are_refused(self) -> None:
        if self.adapter.can_branch:
            return
        before = self.append("a")
        edited = user("a", "other", seq=1)
        calls: list[Any] = [
            lambda: self.adapter.branches(self.at()),
            lambda: self.adapter.fork(self.at(), "draft"),
            lambda: self.adapter.switch(self.at(), "main"),
            lambda: self.adapter.edit(self.at(), edited),
            lambda: self.adapter.revisions(self.at(), 1),
        ]
        for call in calls:
            with pytest.raises(NotSupported):
                call()
        assert self.header() == before

    @branched
    def test_main_is_there_from_the_start(self) -> None:
        """FEATURES S0.18, N47."""
        assert self.adapter.branches(self.at()) == []
        header = self.append("a", "b")
        (main,) = self.adapter.branches(self.at())
        assert (main.name, main.parent, main.fork_seq, main.current) == ("main", None, 0, True)
        assert (main.last_seq, main.message_count, main.version) == (2, 2, header.version)

    @branched
    def test_a_fork_shares_what_there_is_up_to_a_position(self) -> None:
        before = self.append("a", "b", "c")
        made, left = self.adapter.fork(self.at(), "draft", 2)
        assert left == before == self.header()
        assert (made.name, made.parent, made.fork_seq, made.current) == ("draft", "main", 2, False)
        assert (made.last_seq, made.message_count) == (2, 2)
        assert made.version >= 1
        assert (made.created_at.tzinfo, made.updated_at.tzinfo) == (UTC, UTC)
        assert self.adapter.branches(self.at())[1:] == [made]
        assert (self.ids(branch="draft"), self.ids()) == (["a", "b"], ["a", "b", "c"])
        shared = self.adapter.read(self.at(branch="draft"))
        assert shared.messages == self.adapter.read(self.at(), Span(first=2)).messages
        assert shared.header is not None
        assert (shared.header.last_seq, shared.header.version) == (2, made.version)
        assert shared.header.session_id != left.session_id

    @branched
    def test_a_fork_without_a_position_shares_everything(self) -> None:
        self.append("a", "b")
        assert self.adapter.fork(self.at(), "draft")[0].fork_seq == 2
        assert self.ids(branch="draft") == ["a", "b"]

    @branched
    def test_forking_the_unknown_makes_it(self) -> None:
        """FEATURES N47: the seed's raises KeyError."""
        made, left = self.adapter.fork(self.at(user_key="bob"), "draft")
        assert (made.parent, made.fork_seq, made.last_seq, made.message_count) == ("main", 0, 0, 0)
        assert left == self.header()
        record = self.adapter.get(self.at())
        assert record is not None
        assert (record.version, record.user_key, record.branch) == (1, "bob", "main")
        assert [branch.name for branch in self.adapter.branches(self.at())] == ["main", "draft"]
        assert self.append("a", branch="draft").last_seq == 1
        assert self.ids() == []

    @branched
    def test_each_branch_goes_on_from_the_fork(self) -> None:
        """Its positions are dense, its counters its own, and nobody sees the other's messages."""
        self.adapter.append(self.at(), [user("a"), _said("r"), user("b"), _said("s")])
        self.adapter.fork(self.at(), "draft", 3)
        self.adapter.fork(self.at(), "early", 2)
        assert positions(self.adapter.append(self.at(branch="draft"), [user("x"), _said("y")]).messages) == [4, 5]
        assert self.append("c").last_seq == 5
        assert self.ids(branch="draft") == ["a", "r", "b", "x", "y"]
        assert self.ids() == ["a", "r", "b", "s", "c"]
        assert self.ids(branch="early") == ["a", "r"]
        counters = {"main": (5, 5, 3), "draft": (5, 5, 3), "early": (2, 2, 1)}
        for name, expected in counters.items():
            record = self.adapter.get(self.at(branch=name))
            assert record is not None
            assert (record.branch, record.key) == (name, "k")
            assert (record.last_seq, record.message_count, record.last_turn) == expected

    @branched
    @pytest.mark.parametrize("name", SPANS)
    def test_spans_reach_across_the_forks(self, name: str) -> None:
        grow(self)
        span, expected = SPANS[name]
        assert self.ids(span, branch="two") == list(expected)
        assert self.adapter.read(self.at(branch="two"), span).header == self.adapter.peek(self.at(branch="two"))

    @branched
    def test_windows_and_ids_reach_across_the_forks(self) -> None:
        grow(self)
        two = self.at(branch="two")
        assert positions(self.adapter.window(two, Budget(turns=4)).messages) == [2, 3, 4, 5]
        assert positions(self.adapter.window(two, Budget(tokens=10)).messages) == [4, 5]
        assert [self.adapter.locate(two, name) for name in "12345zy"] == [1, 2, 3, 4, 5, None, None]
        assert self.adapter.read_json(two, Span(last=2)).count == 2

    @branched
    def test_a_branch_hangs_on_the_one_that_owns_the_position(self) -> None:
        grow(self)
        made, _left = self.adapter.fork(self.at(branch="two"), "three", 1)
        assert (made.parent, made.fork_seq) == ("main", 1)
        found = {branch.name: (branch.parent, branch.fork_seq) for branch in self.adapter.branches(self.at())}
        assert found == {"main": (None, 0), "one": ("main", 2), "two": ("one", 4), "three": ("main", 1)}
        assert [*found] == ["main", "one", "two", "three"]
        assert self.adapter.branches(self.at(branch="two")) == self.adapter.branches(self.at())
        assert self.ids(branch="three") == ["1"]

    @branched
    def test_an_id_is_stored_once_along_a_lineage(self) -> None:
        """What is shared is known; what another branch holds for itself is not."""
        self.append("a", "b", "c")
        self.adapter.fork(self.at(), "draft", 2)
        commit = self.adapter.append(self.at(branch="draft"), [user("c", "other"), user("a")])
        assert positions(commit.messages) == [3, 1]
        assert self.adapter.append(self.at(branch="draft"), users("b")).change is None
        with pytest.raises(MessageConflict):
            self.adapter.append(self.at(branch="draft"), [user("d"), user("a", "other")])
        assert self.adapter.append(self.at(), users("c")).change is None
        assert self.ids(branch="draft") == ["a", "b", "c"]

    @branched
    def test_versions_are_a_branchs_own(self) -> None:
        before = self.append("a")
        made, _left = self.adapter.fork(self.at(), "draft")
        draft = self.at(branch="draft")
        with pytest.raises(VersionConflict) as caught:
            self.adapter.append(draft, users("b"), if_version=made.version + 5)
        assert caught.value.actual == made.version
        commit = self.adapter.append(draft, users("b"), if_version=made.version)
        assert commit.change is not None
        assert (commit.change.prev_version, commit.header.version) == (made.version, made.version + 1)
        assert commit.header == self.header(branch="draft")
        assert self.header() == before

    @branched
    def test_a_fork_begins_where_its_source_shows_something(self) -> None:
        """From the position that a clear has left to the last one; FEATURES N32."""
        self.append("a", "b")
        self.adapter.clear(self.at())
        self.append("c")
        before = self.adapter.branches(self.at())
        for seq in (-1, 0, 1, 4):
            with pytest.raises(MessageNotFound):
                self.adapter.fork(self.at(), "draft", seq)
        with pytest.raises(MessageNotFound):
            self.adapter.fork(self.at("unknown"), "draft", 1)
        assert self.adapter.branches(self.at()) == before
        assert self.adapter.get(self.at("unknown")) is None
        assert self.adapter.fork(self.at(), "empty", 2)[0].message_count == 0
        assert self.ids(branch="empty") == []
        assert self.append("d", branch="empty").last_seq == 3
        assert self.ids(branch="empty") == ["d"]

    @branched
    def test_a_name_is_taken_once(self) -> None:
        self.append("a")
        self.adapter.fork(self.at(), "draft")
        self.append("b", branch="draft")
        before = self.adapter.branches(self.at())
        for name in ("draft", "main"):
            with pytest.raises(BranchExists):
                self.adapter.fork(self.at(), name, switch=True)
        assert self.adapter.branches(self.at()) == before
        assert self.adapter.fork(self.at(), "Draft")[0].name == "Draft"
        assert self.adapter.fork(self.at("other"), "draft")[0].message_count == 0

    @branched
    def test_a_fork_of_an_unknown_branch_is_refused(self) -> None:
        self.append("a")
        for key in ("k", "unknown"):
            with pytest.raises(BranchNotFound):
                self.adapter.fork(self.at(key, branch="draft"), "new")
        assert len(self.adapter.branches(self.at())) == 1
        assert self.adapter.get(self.at("unknown")) is None

    @branched
    @override_settings(CHAT_MEMORY={"CREATE_WORKSPACES": False})
    def test_a_fork_makes_no_workspace_where_that_is_not_allowed(self) -> None:
        with pytest.raises(WorkspaceNotFound):
            self.adapter.fork(self.at(), "draft")
        assert self.adapter.branches(self.at()) == []

    @branched
    def test_branch_verbs_have_twins(self) -> None:
        self.append("a")
        made, _left = async_to_sync(self.adapter.afork)(self.at(), "draft", 1, switch=False)
        assert isinstance(made, Branch)
        assert async_to_sync(self.adapter.abranches)(self.at())[1] == made
        assert async_to_sync(self.adapter.aswitch)(self.at(), "draft") == self.header()
        commit = async_to_sync(self.adapter.aedit)(self.at(), user("a", "other", seq=1))
        assert positions(commit.messages) == [1]
        assert [former.content for former in async_to_sync(self.adapter.arevisions)(self.at(), 1)] == ["a"]


def grow(kit: Kit) -> None:
    """Main 1 2 z, one of it 1 2 3 4 y, two of that 1 2 3 4 5."""
    kit.append("1", "2", "z")
    kit.adapter.fork(kit.at(), "one", 2)
    kit.append("3", "4", "y", branch="one")
    kit.adapter.fork(kit.at(branch="one"), "two", 4)
    kit.append("5", branch="two")


def _said(message_id: str) -> Message:
    return Message("assistant", message_id, id=message_id, created_at=SENT_AT, tokens=5)
