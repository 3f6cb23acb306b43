"""Owns the clauses of which branch speaks for a conversation: switches, and that what readers saw never goes back."""
# ruff: noqa: D102, S101  # clauses are tests, shipped: the name of one is its first sentence

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from chat_memory.exceptions import BranchNotFound
from chat_memory.testing.conformance.branches import branched
from chat_memory.testing.conformance.kit import Kit, users


class SpeakingClauses(Kit):
    """See ``BranchStore.switch``, and ``fork`` with ``switch``."""

    @branched
    def test_a_switch_lets_another_branch_speak(self) -> None:
        main = self.append("a", "b")
        self.adapter.fork(self.at(), "draft", 1)
        header = self.adapter.switch(self.at(), "draft")
        assert header is not None
        assert header == self.header() == self.header(branch="draft") == self.adapter.peek(self.at())
        assert header.version > main.version
        assert self.ids() == ["a"]
        self.append("x")
        assert (self.ids(), self.ids(branch="draft")) == (["a", "x"], ["a", "x"])
        assert self.ids(branch="main") == ["a", "b"]
        assert self._speaker() == "draft"

    @branched
    def test_a_switch_to_whom_speaks_changes_nothing(self) -> None:
        before = self.append("a")
        assert self.adapter.switch(self.at(), "main") is None
        self.adapter.fork(self.at(), "draft", switch=True)
        spoken = self.header()
        assert self.adapter.switch(self.at(), "draft") is None
        assert self.adapter.switch(self.at(branch="main"), "draft") is None
        assert self.header() == spoken != before

    @branched
    def test_a_switch_back_shows_what_main_has_become(self) -> None:
        self.append("a")
        self.adapter.fork(self.at(), "draft", switch=True)
        self.append("b", branch="main")
        self.append("x")
        header = self.adapter.switch(self.at(branch="draft"), "main")
        assert header == self.header() == self.header(branch="main")
        assert self.ids() == ["a", "b"]
        assert self._speaker() == "main"

    @branched
    def test_a_switch_to_the_unknown_is_refused(self) -> None:
        before = self.append("a")
        for key in ("k", "unknown"):
            with pytest.raises(BranchNotFound):
                self.adapter.switch(self.at(key), "draft")
        assert self.header() == before
        assert self.adapter.switch(self.at("unknown"), "main") is None
        assert self.adapter.get(self.at("unknown")) is None

    @branched
    def test_a_fork_may_speak_from_the_same_moment_on(self) -> None:
        before = self.append("a", "b", "c")
        made, left = self.adapter.fork(self.at(), "draft", 2, switch=True)
        header = self.header()
        assert header is not None
        assert left == before
        assert made.current
        assert made.version == header.version > left.version
        assert [branch.current for branch in self.adapter.branches(self.at())] == [False, True]
        assert (self.ids(), self.ids(branch="main")) == (["a", "b"], ["a", "b", "c"])
        assert self.append("x").last_seq == 3

    @branched
    def test_the_record_is_that_of_the_conversation_with_the_speakers_counters(self) -> None:
        opened, _made = self.adapter.open(self.at(user_key="bob"), {"title": "t"})
        self.append("a", "b")
        self.adapter.fork(self.at(), "draft", 1, switch=True)
        header = self.append("x", "y")
        record = self.adapter.get(self.at())
        assert record is not None
        assert (record.id, record.title, record.user_key) == (opened.id, "t", "bob")
        assert (record.branch, record.message_count, record.last_seq) == ("draft", 3, 3)
        assert (record.version, record.vtoken) == (header.version, header.vtoken)
        assert self.adapter.find(self.workspace) == [record]
        assert self.adapter.open(self.at()) == (record, False)
        main = self.adapter.get(self.at(branch="main"))
        assert main is not None
        assert (main.branch, main.message_count, main.id) == ("main", 2, opened.id)

    @branched
    def test_what_readers_see_never_goes_back(self) -> None:
        """Whichever branch speaks, each version that the conversation shows is larger than the one before."""
        self.append("a")
        steps: list[Callable[[], object]] = [
            *[partial(self.append, f"m{number}") for number in range(5)],
            lambda: self.adapter.fork(self.at(), "draft", 1, switch=True),
            lambda: self.append("x"),
            lambda: self.adapter.fork(self.at(), "low", 1),
            lambda: self.adapter.switch(self.at(), "low"),
            lambda: self.adapter.clear(self.at()),
            lambda: self.adapter.switch(self.at(), "main"),
            lambda: self.adapter.update(self.at(), {"title": "t"}),
            lambda: self.adapter.switch(self.at(), "draft"),
            lambda: self.adapter.delete(self.at(branch="draft")),
            lambda: self.append("z"),
        ]
        seen = [self.version()]
        for step in steps:
            step()
            seen.append(self.version())
        assert seen[7] == seen[8]  # the fork that does not speak
        assert seen == sorted(seen)
        assert len(set(seen)) == len(seen) - 1
        assert self._speaker() == "main"

    @branched
    def test_main_speaks_again_when_the_speaker_is_deleted(self) -> None:
        self.append("a", "b")
        self.adapter.fork(self.at(), "draft", 1, switch=True)
        seen = self.append("x").version
        assert self.adapter.delete(self.at(branch="draft"))
        assert self.ids() == ["a", "b"]
        assert self.version() > seen
        assert self._speaker() == "main"

    @branched
    def test_addresses_that_remember_ids_follow_too(self) -> None:
        """The ids are those of the conversation, so a handle that has read before sees the branch that speaks now."""
        record = self.adapter.open(self.at())[0]
        header = self.header()
        assert header is not None
        known = self.at(session_id=record.id, workspace_id=header.workspace_id)
        self.adapter.append(known, users("a"))
        self.adapter.fork(known, "draft", switch=True)
        self.adapter.append(known, users("x"))
        assert [message.id for message in self.adapter.read(known).messages] == ["a", "x"]
        assert self.adapter.peek(known) == self.header(branch="draft")
        assert self.ids(branch="main") == ["a"]

    def _speaker(self) -> str:
        (speaker,) = (branch.name for branch in self.adapter.branches(self.at()) if branch.current)
        return speaker
