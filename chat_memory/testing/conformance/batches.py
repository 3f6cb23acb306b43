"""Owns the clauses of ``append_many``: all sessions are changed, or none."""
# ruff: noqa: D102, S101  # clauses are tests, shipped: the name of one is its first sentence

from __future__ import annotations

import pytest

from chat_memory.exceptions import BranchNotFound, MessageConflict, NotSupported
from chat_memory.storage.contract import Batch
from chat_memory.testing.conformance.kit import Kit, positions, user, users, where


class BatchClauses(Kit):
    """See ``MessageStore.append_many``."""

    @where("changes_several")
    def test_several_sessions_are_written_together(self) -> None:
        batches: list[Batch] = [(self.at("z"), users("a", "b"), None), (self.at("b"), users("a"), None)]
        commits = self.messages.append_many(batches)
        assert [positions(commit.messages) for commit in commits] == [[1, 2], [1]]
        assert (self.ids(key="z"), self.ids(key="b")) == (["a", "b"], ["a"])
        replays = self.messages.append_many(batches)
        assert [commit.change for commit in replays] == [None, None]
        assert [commit.messages for commit in replays] == [commit.messages for commit in commits]

    @where("changes_several")
    def test_a_refusal_takes_every_session_back(self) -> None:
        before = self.append("known")
        fresh: Batch = (self.at("fresh"), users("a"), None)
        more: Batch = (self.at(), users("more"), None)
        conflicting: Batch = (self.at(), [user("known", "other")], None)
        with pytest.raises(MessageConflict):
            self.messages.append_many([fresh, more, (self.at("z"), users("b"), None), conflicting])
        with pytest.raises(BranchNotFound):
            self.messages.append_many([fresh, more, (self.at("z", branch="draft"), users("b"), None)])
        assert self.sessions.get(fresh[0]) is None
        assert self.sessions.get(self.at("z")) is None
        assert self.header() == before
        assert self.append("between").last_seq == 2
        assert self.messages.locate(self.at(), "more") is None
        assert positions(self.messages.append(*more[:2]).messages) == [3]
        assert self.ids() == ["known", "between", "more"]

    def test_several_sessions_are_refused_where_the_class_says_so(self) -> None:
        if self.changes_several:
            pytest.skip(f"{self.adapter.name} changes several sessions at once")
        batches: list[Batch] = [(self.at("fresh"), users("a"), None), (self.at(), users("more"), None)]
        before = self.append("known")
        with pytest.raises(NotSupported):
            self.messages.append_many(batches)
        assert self.sessions.get(self.at("fresh")) is None
        assert self.header() == before
