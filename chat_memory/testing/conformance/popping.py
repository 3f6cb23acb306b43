"""Owns the clauses of ``pop``: which caller gets the newest message, and that no trace of the message is left."""
# ruff: noqa: D102, S101  # clauses are tests, shipped: the name of one is its first sentence

from __future__ import annotations

from functools import partial

import pytest

from chat_memory.exceptions import BranchInUse
from chat_memory.records import Budget, Commit, Message, Span
from chat_memory.storage.changed import Kind
from chat_memory.testing.conformance.kit import Kit, answer, at_once, positions, user, users, where

POPPERS = 3
ROUNDS = 4


class PopClauses(Kit):
    """See ``MessageStore.pop``."""

    def test_pop_takes_the_newest_message_off(self) -> None:
        said = Message("assistant", None, "n", {"z": 1}, "c", [{"id": "t"}], created_at=user("c").created_at, tokens=5)
        self.messages.append(self.at(), [user("a"), user("b"), said])
        stored, before = self.messages.read(self.at()).messages, self.header()
        commit = self.messages.pop(self.at())
        assert before is not None
        assert commit is not None
        assert commit.change is not None
        assert commit.messages == (stored[2],)
        assert (commit.change.prev_version, commit.change.prev_vtoken) == (before.version, before.vtoken)
        assert (commit.header, commit.header.version) == (self.header(), before.version + 1)
        assert self.messages.read(self.at()).messages == stored[:2]
        assert self.messages.read(self.at(), Span(last=1)).messages == stored[1:2]
        assert self.messages.locate(self.at(), "c") is None

    def test_pop_of_nothing_is_none(self) -> None:
        assert self.pop() is None
        assert self.sessions.get(self.at()) is None
        self.append("a")
        self.messages.clear(self.at())
        before = self.append("b")
        assert (self.pop(), self.pop(), self.pop()) == ("b", None, None)
        header = self.header()
        assert header is not None
        assert (header.version, header.last_seq, header.base_seq) == (before.version + 1, 1, 1)

    def test_what_is_popped_leaves_no_gap(self) -> None:
        """The next message gets its position; counters and windows are as if it had never been appended."""
        self.messages.append(self.at(), [user("a"), answer("r"), user("b")])
        assert self.pop() == "b"
        record = self.sessions.get(self.at())
        assert record is not None
        assert (record.message_count, record.last_seq, record.last_turn) == (2, 2, 1)
        assert positions(self.messages.append(self.at(), users("c", "d")).messages) == [3, 4]
        assert self.ids() == ["a", "r", "c", "d"]
        assert positions(self.messages.window(self.at(), Budget(turns=2)).messages) == [3, 4]
        assert positions(self.messages.window(self.at(), Budget(turns=3)).messages) == [1, 2, 3, 4]
        record = self.sessions.get(self.at())
        assert record is not None
        assert record.last_turn == 3

    def test_a_system_message_that_is_popped_is_shown_no_more(self) -> None:
        self.messages.append(self.at(), [user("a"), Message("system", "s", id="s", created_at=user("s").created_at)])
        assert self.pop() == "s"
        self.append("b")
        assert positions(self.messages.read(self.at(), Span(system=True)).messages) == []

    def test_a_message_that_was_popped_may_come_again(self) -> None:
        self.append("a", "b")
        assert self.pop() == "b"
        commit = self.messages.append(self.at(), [user("b", "other words")])
        assert commit.change is not None
        assert positions(commit.messages) == [2]
        assert self.messages.append(self.at(), [user("b", "other words")]).change is None
        assert self.contents() == ["a", "other words"]

    def test_a_pop_is_sent(self) -> None:
        self.append("a", "b")
        with self.listening() as events:
            commit = self.messages.pop(self.at())
            assert self.messages.pop(self.at("unknown")) is None
        assert commit is not None
        assert len(events) == 1
        event = events[0]
        assert (event.kind, event.branch, event.first_seq, event.last_seq) == (Kind.POPPED, "main", 2, 2)
        assert (event.header, event.commit) == (commit.header, None)

    @where("edits")
    def test_what_is_said_in_its_place_has_no_former_contents(self) -> None:
        self.append("a", "b")
        self.rewrite(2, "B")
        self.pop()
        self.append("c")
        assert self.edits.revisions(self.at(), 2) == []
        self.redact(2)
        self.pop()
        self.append("d")
        self.redact(2)
        assert [message.id for message in self.messages.read(self.at()).messages] == ["a", "d"]

    @where("branches")
    def test_what_another_branch_shares_is_not_popped(self) -> None:
        self.append("a", "b")
        self.branches.fork(self.at(), "draft")
        before = self.header()
        with pytest.raises(BranchInUse, match="draft"):
            self.messages.pop(self.at())
        assert (self.ids(), self.header()) == (["a", "b"], before)
        self.append("c")
        assert (self.pop(), self.ids()) == ("c", ["a", "b"])
        self.sessions.delete(self.at(branch="draft"))
        assert (self.pop(), self.ids()) == ("b", ["a"])

    @where("branches")
    def test_a_branch_shows_less_of_what_it_shares(self) -> None:
        """A branch can be popped down to its beginning, whatever its parent; other branches show what they did."""
        self.append("a", "b", "c")
        self.branches.fork(self.at(), "one", 2)
        self.append("x", branch="one")
        self.branches.fork(self.at(branch="one"), "two", 3)
        self.append("y", branch="two")
        main, one = self.header(branch="main"), self.header(branch="one")
        assert [self.pop("two"), self.pop("two")] == ["y", "x"]
        assert self.ids(branch="two") == ["a", "b"]
        self.append("z", branch="two")
        assert [self.pop("two"), self.pop("two")] == ["z", "b"]
        assert (self.ids(branch="two"), self._listed("two")) == (["a"], (1, 1, 1))
        assert positions(self.messages.append(self.at(branch="two"), users("b")).messages) == [2]
        assert self.ids(branch="two") == ["a", "b"]
        assert [self.pop("two"), self.pop("two"), self.pop("two")] == ["b", "a", None]
        assert self._listed("two") == (0, 0, 0)
        self.append("w", branch="two")
        assert [self.ids(branch=name) for name in ("main", "one", "two")] == [list("abc"), list("abx"), ["w"]]
        assert (self.header(branch="main"), self.header(branch="one")) == (main, one)

    @where("branches")
    def test_pop_is_of_the_current_branch(self) -> None:
        self.append("a", "b")
        self.branches.fork(self.at(), "draft", 1, switch=True)
        self.append("c")
        assert (self.pop(), self.pop("main")) == ("c", "b")
        assert (self.ids(), self.current()) == (["a"], "draft")
        assert len(self.branches.all(self.at())) == 2

    def test_no_two_poppers_get_one_message(self) -> None:
        for number in range(ROUNDS):
            at = self.at(f"k{number}")
            self.messages.append(at, users(*"abcd"))
            commits = at_once(*[partial(self.messages.pop, at)] * POPPERS)
            assert sorted(_ids(commits)) == ["b", "c", "d"]
            assert self.ids(key=at.key) == ["a"]

    def test_a_popper_beside_a_writer_leaves_no_gap(self) -> None:
        for number in range(ROUNDS):
            at = self.at(f"k{number}")
            self.messages.append(at, users("a", "b"))
            append = partial(self.messages.append, at, users("c"))
            popped, _stored = at_once(partial(self.messages.pop, at), append)
            left = self.messages.read(at)
            assert positions(left.messages) == [1, 2]
            assert left.header is not None
            assert left.header.last_seq == 2
            assert {*_ids([popped]), *(message.id for message in left.messages)} == {"a", "b", "c"}

    def _listed(self, name: str) -> tuple[int, int, int]:
        (branch,) = (each for each in self.branches.all(self.at()) if each.name == name)
        return branch.fork_seq, branch.last_seq, branch.message_count


def _ids(commits: list[Commit | None]) -> list[str]:
    return [message.id or "" for commit in commits if commit for message in commit.messages]
