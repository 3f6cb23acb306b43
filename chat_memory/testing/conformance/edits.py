"""Owns the clauses of ``edit`` and ``revisions``: what a message says now, and what it said before."""
# ruff: noqa: D102, S101  # clauses are tests, shipped: the name of one is its first sentence

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from chat_memory.exceptions import MessageNotFound
from chat_memory.records import Budget, Commit, Content, Message
from chat_memory.testing.conformance.branches import branched, grow
from chat_memory.testing.conformance.kit import SENT_AT, Kit, positions, user


class EditClauses(Kit):
    """See ``BranchStore.edit`` and ``BranchStore.revisions``."""

    @branched
    def test_an_edit_changes_content_and_tokens_alone(self) -> None:
        given = user("a", "old", name="n", metadata={"z": 1, "a": [2]}, tool_call_id="t")
        self.adapter.append(self.at(), [given, user("b")])
        stored = self.adapter.read(self.at()).messages
        before = self.header()
        assert before is not None
        other: dict[str, Any] = {
            "role": "assistant",
            "id": "b",
            "name": None,
            "metadata": {},
            "created_at": SENT_AT.replace(year=2027),
        }
        commit = self.adapter.edit(self.at(), msgspec.structs.replace(stored[0], content="new", tokens=9, **other))
        expected = msgspec.structs.replace(stored[0], content="new", tokens=9)
        assert commit.messages == (expected,)
        assert self.adapter.read(self.at()).messages == [expected, stored[1]]
        assert commit.change is not None
        assert (commit.change.prev_version, commit.change.prev_vtoken) == (before.version, before.vtoken)
        assert (commit.change.added, commit.header.version) == (0, before.version + 1)
        assert commit.header == commit.change.header == self.header()
        assert positions(self.adapter.window(self.at(), Budget(tokens=14)).messages) == [1, 2]
        assert positions(self.adapter.window(self.at(), Budget(tokens=13)).messages) == [2]

    @branched
    def test_former_content_is_kept(self) -> None:
        contents: list[Content] = ["", [{"type": "text", "z": 1, "a": None}], "é\u2028", None, "last"]
        started = datetime.now(UTC) - timedelta(minutes=1)
        calls = Message("assistant", contents[0], id="a", tool_calls=[{"id": "c"}], created_at=SENT_AT)
        self.adapter.append(self.at(), [calls, user("b")])
        assert self.adapter.revisions(self.at(), 1) == []
        for content in contents[1:]:
            self._rewrite(1, content)
            assert self._contents()[0] == content
        found = self.adapter.revisions(self.at(), 1)
        assert [former.content for former in found] == contents[:-1]
        assert {former.seq for former in found} == {1}
        moments = [former.edited_at for former in found]
        assert moments == sorted(moments)
        assert all(started < moment.astimezone(UTC) for moment in moments)
        assert self.adapter.revisions(self.at(), 2) == []

    @branched
    def test_an_edit_of_what_is_not_shown_is_refused(self) -> None:
        self.append("a", "b")
        self.adapter.clear(self.at())
        self.append("c")
        before = self.header()
        refused = [(self.at(), seq) for seq in (-1, 0, 1, 2, 4)] + [(self.at("unknown"), 1)]
        for at, seq in refused:
            with pytest.raises(MessageNotFound):
                self.adapter.edit(at, user("c", "new", seq=seq))
            assert self.adapter.revisions(at, seq) == []
        assert self.header() == before
        assert self.adapter.get(self.at("unknown")) is None

    @branched
    def test_revisions_are_hidden_with_their_message(self) -> None:
        self.append("a")
        self._rewrite(1, "new")
        self.adapter.clear(self.at())
        assert self.adapter.revisions(self.at(), 1) == []

    @branched
    def test_an_edit_is_seen_on_every_branch_that_shares_the_message(self) -> None:
        """By whichever it comes; each of their headers moves, so that no cache keeps the former text."""
        grow(self)
        names = ("main", "one", "two")
        before = {name: self.header(branch=name) for name in names}
        for number, name in enumerate(names):
            self._rewrite(1, f"by {name}", branch=name)
            assert [self._contents(branch)[0] for branch in names] == [f"by {name}"] * 3
            after = {branch: self.header(branch=branch) for branch in names}
            assert all(after[branch] != before[branch] for branch in names)
            before = after
            assert [len(self.adapter.revisions(self.at(branch=branch), 1)) for branch in names] == [number + 1] * 3

    @branched
    def test_an_edit_beyond_the_fork_is_the_branchs_own(self) -> None:
        grow(self)
        main = self.header(branch="main")
        commit = self._rewrite(3, "new", branch="two")
        assert commit.header == self.header(branch="two")
        assert self._contents("one") == ["1", "2", "new", "4", "y"]
        assert self._contents("two") == ["1", "2", "new", "4", "5"]
        assert self._contents("main") == ["1", "2", "z"]
        assert self.header(branch="main") == main
        assert self.adapter.revisions(self.at(branch="main"), 3) == []
        self._rewrite(3, "newer", branch="main")
        assert self._contents("two") == ["1", "2", "new", "4", "5"]
        assert [former.content for former in self.adapter.revisions(self.at(branch="two"), 3)] == ["3"]

    @branched
    def test_an_edit_of_the_conversation_is_one_of_the_speaker(self) -> None:
        grow(self)
        self.adapter.switch(self.at(), "two")
        commit = self._rewrite(5, "new")
        assert commit.header == self.header()
        assert self._contents() == ["1", "2", "3", "4", "new"]
        assert self._contents("one") == ["1", "2", "3", "4", "y"]

    @branched
    def test_an_edit_is_detached(self) -> None:
        """FEATURES N43: neither what was given nor what came back can change the store."""
        self.append("a")
        content: list[Any] = [{"type": "text", "text": "new"}]
        commit = self._rewrite(1, content)
        for held in (content, commit.messages[0].content, self._contents()[0]):
            assert isinstance(held, list)
            held.append("tampered")
        assert self._contents() == [[{"type": "text", "text": "new"}]]

    @branched
    def test_an_edited_message_is_still_known(self) -> None:
        self.append("a", "b")
        self._rewrite(1, "new")
        assert self.adapter.append(self.at(), [user("a", "new")]).change is None
        assert self.adapter.locate(self.at(), "a") == 1

    def _rewrite(self, seq: int, content: Any, branch: str = "") -> Commit:
        return self.adapter.edit(self.at(branch=branch), Message("user", content, seq=seq, tokens=5))

    def _contents(self, branch: str = "") -> list[Content]:
        return [message.content for message in self.adapter.read(self.at(branch=branch)).messages]
