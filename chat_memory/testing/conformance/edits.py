"""Owns the clauses of ``edit`` and ``revisions``: a message's present content, and its former contents."""
# ruff: noqa: D102, S101  # clauses are tests, shipped: the name of one is its first sentence

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from chat_memory.exceptions import MessageNotFound, ValidationError, VersionConflict
from chat_memory.records import Budget, Content, Message
from chat_memory.testing.conformance.branches import grow
from chat_memory.testing.conformance.kit import SENT_AT, Kit, positions, user, where

edited = where("edits")


class EditClauses(Kit):
    """See ``EditStore``."""

    @edited
    def test_an_edit_changes_what_it_may_alone(self) -> None:
        given = user("a", "old", name="n", metadata={"z": 1, "a": [2]}, tool_call_id="t")
        self.messages.append(self.at(), [given, user("b")])
        stored = self.messages.read(self.at()).messages
        before = self.header()
        assert before is not None
        other: dict[str, Any] = {"role": "assistant", "id": "b", "name": None, "state": "failed"}
        commit = self.rewrite(1, "new", tokens=9, created_at=SENT_AT.replace(year=2027), **other)
        expected = msgspec.structs.replace(stored[0], content="new", tokens=9)
        assert commit.messages == (expected,)
        assert self.messages.read(self.at()).messages == [expected, stored[1]]
        assert commit.change is not None
        assert (commit.change.prev_version, commit.change.prev_vtoken) == (before.version, before.vtoken)
        assert (commit.change.added, commit.header.version) == (0, before.version + 1)
        assert commit.header == commit.change.header == self.header()
        assert positions(self.messages.window(self.at(), Budget(tokens=14)).messages) == [1, 2]
        assert positions(self.messages.window(self.at(), Budget(tokens=13)).messages) == [2]

    @edited
    def test_an_edit_of_metadata_and_further_fields_keeps_no_former_content(self) -> None:
        self.messages.append(self.at(), [user("a", metadata={"z": 1}, extra={"logprobs": [0.1], "a": None}), user("b")])
        stored, before = self.messages.read(self.at()).messages, self.header()
        given: dict[str, Any] = {"metadata": None, "extra": {"usage": {"z": 1, "a": 2.0}}}
        commit = self.edits.edit(self.at(), 1, lambda message: msgspec.structs.replace(message, **given))
        expected = msgspec.structs.replace(stored[0], **given)
        assert commit.messages == (expected,)
        assert self.messages.read(self.at()).messages == [expected, stored[1]]
        assert before is not None
        assert commit.header.version == before.version + 1
        assert self.edits.revisions(self.at(), 1) == []
        assert self.sessions.usage(self.workspace).messages == 2

    @edited
    def test_an_edit_that_says_what_is_stored_changes_nothing(self) -> None:
        before = self.append("a")
        with self.listening() as events:
            commit = self.edits.edit(self.at(), 1, lambda stored: stored)
        assert (commit.change, commit.header, self.header()) == (None, before, before)
        assert [message.id for message in commit.messages] == ["a"]
        assert (events, self.edits.revisions(self.at(), 1)) == ([], [])

    @edited
    def test_an_edit_finds_its_message_by_id(self) -> None:
        self.append("a", "1", "c")
        commit = self.edits.edit(self.at(), "1", lambda stored: msgspec.structs.replace(stored, content="B"))
        assert [message.seq for message in commit.messages] == [2]
        assert self.contents() == ["a", "B", "c"]
        assert [former.seq for former in self.edits.revisions(self.at(), "1")] == [2]
        for unknown in ("d", "2"):
            with pytest.raises(MessageNotFound):
                self.edits.edit(self.at(), unknown, lambda stored: stored)
            assert self.edits.revisions(self.at(), unknown) == []

    @edited
    def test_an_edit_is_made_at_its_version_alone(self) -> None:
        before = self.append("a")
        with pytest.raises(VersionConflict) as caught:
            self.edits.edit(self.at(), 1, self.saying("new"), if_version=before.version + 1)
        assert (caught.value.expected, caught.value.actual) == (before.version + 1, before.version)
        assert (self.contents(), self.header()) == (["a"], before)
        assert self.edits.edit(self.at(), 1, self.saying("new"), if_version=before.version).change is not None

    @edited
    def test_an_edit_is_of_the_message_as_it_is_stored(self) -> None:
        self.messages.append(self.at(), [user("a", "old", metadata={"z": 1, "a": [2]}), user("b")])
        stored = self.messages.read(self.at()).messages
        given: list[Message] = []

        def restate(message: Message) -> Message:
            given.append(message)
            return msgspec.structs.replace(message, content=f"{message.content}er")

        self.edits.edit(self.at(), 1, restate)
        assert given == stored[:1]
        assert self.contents() == ["older", "b"]

    @edited
    def test_an_edit_whose_content_is_refused_changes_nothing(self) -> None:
        before = self.append("a")

        def refuse(_stored: Message) -> Message:
            raise ValidationError("is refused", field="content")

        with pytest.raises(ValidationError):
            self.edits.edit(self.at(), 1, refuse)
        assert self.header() == before
        assert (self.contents(), self.edits.revisions(self.at(), 1)) == (["a"], [])

    @edited
    def test_former_content_is_kept(self) -> None:
        contents: list[Content] = ["", [{"type": "text", "z": 1, "a": None}], "é\u2028", None, "last"]
        started = datetime.now(UTC) - timedelta(minutes=1)
        calls = Message("assistant", contents[0], id="a", tool_calls=[{"id": "c"}], created_at=SENT_AT)
        self.messages.append(self.at(), [calls, user("b")])
        assert self.edits.revisions(self.at(), 1) == []
        for content in contents[1:]:
            self.rewrite(1, content)
            assert self.contents()[0] == content
        found = self.edits.revisions(self.at(), 1)
        assert [former.content for former in found] == contents[:-1]
        assert {former.seq for former in found} == {1}
        moments = [former.edited_at for former in found]
        assert moments == sorted(moments)
        assert all(started < moment.astimezone(UTC) for moment in moments)
        assert self.edits.revisions(self.at(), 2) == []

    @edited
    def test_an_edit_of_a_message_that_is_not_visible_is_refused(self) -> None:
        self.append("a", "b")
        self.messages.clear(self.at())
        self.append("c")
        before = self.header()
        refused = [(self.at(), seq) for seq in (-1, 0, 1, 2, 4)] + [(self.at("unknown"), 1)]
        for at, seq in refused:
            with pytest.raises(MessageNotFound):
                self.edits.edit(at, seq, lambda stored: stored)
            assert self.edits.revisions(at, seq) == []
        assert self.header() == before
        assert self.sessions.get(self.at("unknown")) is None

    @edited
    def test_revisions_are_hidden_with_their_message(self) -> None:
        self.append("a")
        self.rewrite(1, "new")
        self.messages.clear(self.at())
        assert self.edits.revisions(self.at(), 1) == []

    @where("edits", "branches")
    def test_an_edit_is_seen_on_every_branch_that_shares_the_message(self) -> None:
        """On whichever branch it is made; the header of each branch changes, so that no cache keeps the former text."""
        grow(self)
        names = ("main", "one", "two")
        before = {name: self.header(branch=name) for name in names}
        for number, name in enumerate(names):
            self.rewrite(1, f"by {name}", branch=name)
            assert [self.contents(branch)[0] for branch in names] == [f"by {name}"] * 3
            after = {branch: self.header(branch=branch) for branch in names}
            assert all(after[branch] != before[branch] for branch in names)
            before = after
            assert [len(self.edits.revisions(self.at(branch=branch), 1)) for branch in names] == [number + 1] * 3

    @where("edits", "branches")
    def test_an_edit_after_the_fork_is_seen_on_its_branch_alone(self) -> None:
        grow(self)
        main = self.header(branch="main")
        commit = self.rewrite(3, "new", branch="two")
        assert commit.header == self.header(branch="two")
        assert self.contents("one") == ["1", "2", "new", "4", "y"]
        assert self.contents("two") == ["1", "2", "new", "4", "5"]
        assert self.contents("main") == ["1", "2", "z"]
        assert self.header(branch="main") == main
        assert self.edits.revisions(self.at(branch="main"), 3) == []
        self.rewrite(3, "newer", branch="main")
        assert self.contents("two") == ["1", "2", "new", "4", "5"]
        assert [former.content for former in self.edits.revisions(self.at(branch="two"), 3)] == ["3"]

    @where("edits", "branches")
    def test_an_edit_of_the_conversation_is_one_of_the_current_branch(self) -> None:
        grow(self)
        self.branches.switch(self.at(), "two")
        commit = self.rewrite(5, "new")
        assert commit.header == self.header()
        assert self.contents() == ["1", "2", "3", "4", "new"]
        assert self.contents("one") == ["1", "2", "3", "4", "y"]

    @edited
    def test_an_edit_is_detached(self) -> None:
        """Changing the passed or the returned message does not change the store."""
        self.append("a")
        content: list[Any] = [{"type": "text", "text": "new"}]
        commit = self.rewrite(1, content)
        for held in (content, commit.messages[0].content, self.contents()[0]):
            assert isinstance(held, list)
            held.append("tampered")
        assert self.contents() == [[{"type": "text", "text": "new"}]]

    @edited
    def test_an_edited_message_is_still_known(self) -> None:
        self.append("a", "b")
        self.rewrite(1, "new")
        assert self.messages.append(self.at(), [user("a", "new")]).change is None
        assert self.messages.locate(self.at(), "a") == 1
