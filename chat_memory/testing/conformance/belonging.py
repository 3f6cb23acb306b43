"""Owns the clauses of what belongs to a branch, what to its conversation, and what goes with which."""
# ruff: noqa: D102, S101  # clauses are tests, shipped: the name of one is its first sentence

from __future__ import annotations

import msgspec
import pytest

from chat_memory.exceptions import BranchInUse, BranchNotFound, MessageConflict
from chat_memory.storage.listing import Filter
from chat_memory.testing.conformance.branches import branched, grow
from chat_memory.testing.conformance.kit import Kit, positions, user, users


class BelongingClauses(Kit):
    """What ``MessageStore`` and ``SessionStore`` do on a branch."""

    @branched
    def test_clear_hides_from_its_branch_alone(self) -> None:
        self.append("a", "b")
        self.adapter.fork(self.at(), "draft", 1)
        self.append("x", branch="draft")
        assert self.adapter.clear(self.at()) is not None
        assert (self.ids(), self.ids(branch="draft")) == ([], ["a", "x"])
        change = self.adapter.clear(self.at(branch="draft"))
        assert change is not None
        assert (change.header.base_seq, change.header) == (2, self.header(branch="draft"))
        assert self.adapter.clear(self.at(branch="draft")) is None
        assert self.adapter.append(self.at(branch="draft"), users("a", "x")).change is None
        self.append("y", branch="draft")
        self.append("c")
        assert (self.ids(), self.ids(branch="draft")) == (["c"], ["y"])

    @branched
    def test_a_conversation_is_deleted_with_its_branches(self) -> None:
        for name in ("", "main"):
            self.append("a")
            self.adapter.fork(self.at(), "draft", switch=True)
            self.append("b", branch="draft")
            assert self.adapter.delete(self.at(branch=name))
            assert self.adapter.branches(self.at()) == []
            for branch in ("", "main", "draft"):
                found = self.adapter.read(self.at(branch=branch))
                assert (found.messages, found.header) == ([], None)
        self.adapter.fork(self.at(), "draft")
        assert self.ids(branch="draft") == []

    @branched
    def test_a_branch_is_deleted_alone(self) -> None:
        old = self.append("a", "b")
        self.adapter.fork(self.at(), "draft", 1)
        gone = self.append("x", branch="draft")
        assert self.adapter.delete(self.at(branch="draft"))
        assert not self.adapter.delete(self.at(branch="draft"))
        assert self.header() == old
        assert self.adapter.get(self.at(branch="draft")) is None
        self.adapter.fork(self.at(), "draft", 1)
        assert self.ids(branch="draft") == ["a"]
        anew = self.header(branch="draft")
        assert anew is not None
        assert anew.session_id != gone.session_id

    @branched
    def test_a_branch_that_others_share_stays(self) -> None:
        grow(self)
        before = self.adapter.branches(self.at())
        with pytest.raises(BranchInUse):
            self.adapter.delete(self.at(branch="one"))
        assert self.adapter.branches(self.at()) == before
        assert self.adapter.delete(self.at(branch="two"))
        assert self.adapter.delete(self.at(branch="one"))
        assert [branch.name for branch in self.adapter.branches(self.at())] == ["main"]
        assert self.ids() == ["1", "2", "z"]

    @branched
    def test_what_describes_a_conversation_is_shared(self) -> None:
        self.append("a")
        self.adapter.fork(self.at(), "draft")
        before = {name: self.header(branch=name) for name in ("main", "draft")}
        after = self.adapter.update(self.at(branch="draft"), {"title": "t", "tags": ["x"]})
        assert (after.branch, after.title, after.tags) == ("draft", "t", ["x"])
        found = self.adapter.get(self.at())
        assert found is not None
        assert (found.title, found.id, found.branch) == ("t", after.id, "main")
        assert all(self.header(branch=name) != header for name, header in before.items())
        assert self.adapter.open(self.at(branch="draft"), {"title": "u"}) == (after, False)
        assert self.adapter.find(self.workspace) == [found]

    @branched
    def test_writing_on_a_branch_is_a_change_of_the_conversation(self) -> None:
        self.append("a")
        self.adapter.fork(self.at(), "draft")
        self.append("a", key="other")
        self.adapter.append(self.at(branch="draft", user_key="bob"), users("b"))
        assert [record.key for record in self.adapter.find(self.workspace)] == ["k", "other"]
        assert [record.user_key for record in self.adapter.find(self.workspace, Filter(user_key="bob"))] == ["bob"]

    @branched
    def test_conversations_share_no_branch(self) -> None:
        for key in ("k", "other"):
            self.append(key, key=key)
            self.adapter.fork(self.at(key), "draft")
            self.append(f"{key} more", key=key, branch="draft")
        neighbour = msgspec.structs.replace(self.at(branch="draft"), workspace=f"{self.workspace}.a")
        assert self.adapter.read(neighbour).header is None
        assert self.ids(branch="draft") == ["k", "k more"]
        assert self.ids(key="other", branch="draft") == ["other", "other more"]

    @branched
    def test_several_branches_are_written_together_or_not_at_all(self) -> None:
        if not self.adapter.transactional:
            return
        self.append("a")
        self.adapter.fork(self.at(), "draft")
        self.adapter.fork(self.at(), "spoken", switch=True)
        before = [self.header(branch=name) for name in ("main", "draft", "spoken")]
        draft, more = (self.at(branch="draft"), users("x")), (self.at(), users("y"))
        with pytest.raises(MessageConflict):
            self.adapter.append_many([draft, more, (self.at(branch="main"), [user("a", "other")])])
        with pytest.raises(BranchNotFound):
            self.adapter.append_many([draft, more, (self.at(branch="unknown"), users("z"))])
        assert [self.header(branch=name) for name in ("main", "draft", "spoken")] == before
        assert self.ids(branch="draft") == ["a"]
        commits = self.adapter.append_many([draft, more, (self.at(branch="main"), users("z"))])
        assert [positions(commit.messages) for commit in commits] == [[2], [2], [2]]
        assert [self.ids(branch=name)[-1] for name in ("main", "draft", "spoken")] == ["z", "x", "y"]
