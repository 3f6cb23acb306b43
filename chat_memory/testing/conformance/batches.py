"""Owns the clauses of ``append_many`` and of the flags: what an adapter says of itself is true."""
# ruff: noqa: D102, S101  # clauses are tests, shipped: the name of one is its first sentence

from __future__ import annotations

from collections.abc import Sequence

import pytest
from asgiref.sync import async_to_sync

from chat_memory.exceptions import BranchNotFound, MessageConflict, NotSupported
from chat_memory.storage.base import Batch
from chat_memory.testing.conformance.kit import Kit, positions, user, users


class BatchClauses(Kit):
    """See ``MessageStore.append_many`` and ``Adapter.transactional``."""

    def test_flags_are_booleans(self) -> None:
        adapter = self.adapter
        flags = (adapter.durable, adapter.transactional, adapter.can_branch, adapter.can_summarize)
        assert all(isinstance(flag, bool) for flag in flags)

    def test_several_sessions_are_written_together_or_the_call_is_not_supported(self) -> None:
        batches = [(self.at("z"), users("a", "b")), (self.at("b"), users("a"))]
        if not self.adapter.transactional:
            self._assert_refused(batches)
            return
        commits = self.adapter.append_many(batches)
        assert [positions(commit.messages) for commit in commits] == [[1, 2], [1]]
        assert (self.ids(key="z"), self.ids(key="b")) == (["a", "b"], ["a"])
        replays = self.adapter.append_many(batches)
        assert [commit.change for commit in replays] == [None, None]
        assert [commit.messages for commit in replays] == [commit.messages for commit in commits]

    def test_a_refusal_takes_every_session_back(self) -> None:
        before = self.append("known")
        fresh = (self.at("fresh"), users("a"))
        more = (self.at(), users("more"))
        if not self.adapter.transactional:
            self._assert_refused([fresh, more])
            return
        with pytest.raises(MessageConflict):
            self.adapter.append_many([fresh, more, (self.at("z"), users("b")), (self.at(), [user("known", "other")])])
        with pytest.raises(BranchNotFound):
            self.adapter.append_many([fresh, more, (self.at("z", branch="draft"), users("b"))])
        assert self.adapter.get(fresh[0]) is None
        assert self.adapter.get(self.at("z")) is None
        assert self.header() == before
        assert self.append("between").last_seq == 2
        assert self.adapter.locate(self.at(), "more") is None
        assert positions(self.adapter.append(*more).messages) == [3]
        assert self.ids() == ["known", "between", "more"]

    def test_append_many_has_a_twin(self) -> None:
        batches = [(self.at(), users("a"))]
        if not self.adapter.transactional:
            with pytest.raises(NotSupported):
                async_to_sync(self.adapter.aappend_many)(batches)
            return
        (commit,) = async_to_sync(self.adapter.aappend_many)(batches)
        assert positions(commit.messages) == [1]

    def _assert_refused(self, batches: Sequence[Batch]) -> None:
        before = [self.adapter.get(at) for at, _messages in batches]
        with pytest.raises(NotSupported):
            self.adapter.append_many(batches)
        assert [self.adapter.get(at) for at, _messages in batches] == before
