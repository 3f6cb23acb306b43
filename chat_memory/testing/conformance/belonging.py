"""Owns the clauses on which state belongs to a branch and which to the conversation, and on deleting either."""
# ruff: noqa: D102, S101  # clauses are tests, shipped: the name of one is its first sentence

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from chat_memory.exceptions import BranchInUse, BranchNotFound, MessageConflict
from chat_memory.storage.contract import Batch
from chat_memory.storage.listing import Filter
from chat_memory.testing.conformance.branches import branched, grow
from chat_memory.testing.conformance.kit import SENT_AT, Kit, positions, user, users, where


class BelongingClauses(Kit):
    """See ``MessageStore`` and ``SessionStore``, on branches."""

    @branched
    def test_clear_hides_from_its_branch_alone(self) -> None:
        self.append("a", "b")
        self.branches.fork(self.at(), "draft", 1)
        self.append("x", branch="draft")
        assert self.messages.clear(self.at()) is not None
        assert (self.ids(), self.ids(branch="draft")) == ([], ["a", "x"])
        change = self.messages.clear(self.at(branch="draft"))
        assert change is not None
        assert (change.header.base_seq, change.header) == (2, self.header(branch="draft"))
        assert self.messages.clear(self.at(branch="draft")) is None
        assert self.messages.append(self.at(branch="draft"), users("a", "x")).change is None
        self.append("y", branch="draft")
        self.append("c")
        assert (self.ids(), self.ids(branch="draft")) == (["c"], ["y"])

    @branched
    def test_a_conversation_is_deleted_with_its_branches(self) -> None:
        for name in ("", "main"):
            self.append("a")
            self.branches.fork(self.at(), "draft", switch=True)
            self.append("b", branch="draft")
            assert self.sessions.delete(self.at(branch=name))
            assert self.branches.all(self.at()) == []
            for branch in ("", "main", "draft"):
                found = self.messages.read(self.at(branch=branch))
                assert (found.messages, found.header) == ([], None)
        self.branches.fork(self.at(), "draft")
        assert self.ids(branch="draft") == []

    @branched
    def test_a_branch_is_deleted_alone(self) -> None:
        old = self.append("a", "b")
        self.branches.fork(self.at(), "draft", 1)
        gone = self.append("x", branch="draft")
        assert self.sessions.delete(self.at(branch="draft"))
        assert not self.sessions.delete(self.at(branch="draft"))
        assert self.header() == old
        assert self.sessions.get(self.at(branch="draft")) is None
        self.branches.fork(self.at(), "draft", 1)
        assert self.ids(branch="draft") == ["a"]
        again = self.header(branch="draft")
        assert again is not None
        assert again.session_id != gone.session_id

    @branched
    def test_a_branch_that_others_share_stays(self) -> None:
        grow(self)
        before = self.branches.all(self.at())
        with pytest.raises(BranchInUse):
            self.sessions.delete(self.at(branch="one"))
        assert self.branches.all(self.at()) == before
        assert self.sessions.delete(self.at(branch="two"))
        assert self.sessions.delete(self.at(branch="one"))
        assert [branch.name for branch in self.branches.all(self.at())] == ["main"]
        assert self.ids() == ["1", "2", "z"]

    @branched
    def test_fields_of_a_conversation_are_shared_by_its_branches(self) -> None:
        self.append("a")
        self.branches.fork(self.at(), "draft")
        before = {name: self.header(branch=name) for name in ("main", "draft")}
        after = self.sessions.update(self.at(branch="draft"), {"title": "t", "tags": ["x"]})
        assert (after.branch, after.title, after.tags) == ("draft", "t", ["x"])
        found = self.sessions.get(self.at())
        assert found is not None
        assert (found.title, found.id, found.branch) == ("t", after.id, "main")
        assert all(self.header(branch=name) != header for name, header in before.items())
        assert self.sessions.open(self.at(branch="draft"), {"title": "u"}) == (after, False)
        assert self.sessions.find(self.workspace) == [found]

    @branched
    def test_writing_on_a_branch_is_a_change_of_the_conversation(self) -> None:
        self.append("a")
        self.branches.fork(self.at(), "draft")
        self.send("a", SENT_AT + timedelta(minutes=1), "other")
        later = user("b", created_at=SENT_AT + timedelta(minutes=2))
        self.messages.append(self.at(branch="draft", user_key="bob"), [later])
        assert [record.key for record in self.sessions.find(self.workspace)] == ["k", "other"]
        assert [record.user_key for record in self.sessions.find(self.workspace, Filter(user_key="bob"))] == ["bob"]

    @branched
    def test_conversations_share_no_branch(self) -> None:
        for key in ("k", "other"):
            self.append(key, key=key)
            self.branches.fork(self.at(key), "draft")
            self.append(f"{key} more", key=key, branch="draft")
        neighbour = msgspec.structs.replace(self.at(branch="draft"), workspace=f"{self.workspace}.a")
        assert self.messages.read(neighbour).header is None
        assert self.ids(branch="draft") == ["k", "k more"]
        assert self.ids(key="other", branch="draft") == ["other", "other more"]

    @where("branches", "changes_several")
    def test_several_branches_are_written_together_or_not_at_all(self) -> None:
        self.append("a")
        self.branches.fork(self.at(), "draft")
        self.branches.fork(self.at(), "third", switch=True)
        before = [self.header(branch=name) for name in ("main", "draft", "third")]
        draft: Batch = (self.at(branch="draft"), users("x"), None)
        more: Batch = (self.at(), users("y"), None)
        with pytest.raises(MessageConflict):
            self.messages.append_many([draft, more, (self.at(branch="main"), [user("a", "other")], None)])
        with pytest.raises(BranchNotFound):
            self.messages.append_many([draft, more, (self.at(branch="unknown"), users("z"), None)])
        assert [self.header(branch=name) for name in ("main", "draft", "third")] == before
        assert self.ids(branch="draft") == ["a"]
        commits = self.messages.append_many([draft, more, (self.at(branch="main"), users("z"), None)])
        assert [positions(commit.messages) for commit in commits] == [[2], [2], [2]]
        assert [self.ids(branch=name)[-1] for name in ("main", "draft", "third")] == ["z", "x", "y"]
