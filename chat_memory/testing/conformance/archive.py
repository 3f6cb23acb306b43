"""Owns the clauses of ``restore``: a conversation is restored completely or not at all, once, with its own times."""
# ruff: noqa: D102, S101  # clauses are tests, shipped: the name of one is its first sentence

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from django.test import override_settings

from chat_memory.choices import Pending
from chat_memory.exceptions import MessageConflict, WorkspaceNotFound
from chat_memory.records import Address, Budget, Message, Summary, Transcript, TranscriptBranch, TranscriptSummary
from chat_memory.storage.changed import Kind
from chat_memory.storage.contract import Restored
from chat_memory.testing.conformance.kit import SENT_AT, Kit, answer, user, users, where
from chat_memory.testing.conformance.sessions import FIELDS

restoring = where("archive")
YEARS_AGO = SENT_AT.replace(year=2020)


def aged(*messages: Message) -> list[Message]:
    """The messages with times a minute apart, from years ago."""
    moments = [YEARS_AGO + timedelta(minutes=minute) for minute in range(1, len(messages) + 1)]
    return [
        msgspec.structs.replace(message, created_at=moment) for message, moment in zip(messages, moments, strict=True)
    ]


class ArchiveClauses(Kit):
    """See ``ArchiveStore``."""

    @restoring
    def test_a_conversation_is_restored_with_its_fields_and_times(self) -> None:
        messages = aged(user("a"), answer("b", metadata={"z": 1, "a": [None]}), user("c", state="failed"))
        found = self._restore(messages, user_key="bob", created_at=YEARS_AGO, base_seq=4, fields=FIELDS)
        assert found == Restored(made=True, messages=3)
        shown = self.messages.read(self.at()).messages
        turns = (1, 1, 2) if shown[0].turn is not None else (None,) * 3
        expected = [
            msgspec.structs.replace(message, seq=seq, turn=turn)
            for seq, (message, turn) in enumerate(zip(messages, turns, strict=True), 5)
        ]
        assert shown == expected
        record = self.sessions.get(self.at())
        assert record is not None
        assert {name: getattr(record, name) for name in FIELDS} == FIELDS
        assert (record.user_key, record.created_at, record.title_made) == ("bob", YEARS_AGO, False)
        assert (record.base_seq, record.last_seq, record.message_count, record.last_turn) == (4, 7, 3, 2)
        assert record.active_at == messages[-1].created_at

    @restoring
    def test_a_conversation_without_a_title_gets_none(self) -> None:
        self._restore(aged(user("a")))
        record = self.sessions.get(self.at())
        assert record is not None
        assert (record.title, record.title_made) == ("", False)

    @restoring
    def test_a_made_title_is_restored_as_made(self) -> None:
        self._restore(aged(user("a")), fields={"title": "Made"}, title_made=True)
        record = self.sessions.get(self.at())
        assert record is not None
        assert (record.title, record.title_made) == ("Made", True)

    @restoring
    def test_a_second_restore_changes_nothing(self) -> None:
        messages = aged(*users("a", "b"))
        self._restore(messages, fields=FIELDS)
        before = self.sessions.get(self.at())
        with self.listening() as events:
            assert self._restore(messages, fields={"title": "other"}) == Restored(replayed=2)
        assert events == []
        assert self.sessions.get(self.at()) == before

    @restoring
    def test_an_existing_conversation_gets_the_missing_messages(self) -> None:
        self.sessions.open(self.at(), {"title": "Mine"})
        self.append("a")
        found = self._restore(aged(*users("a", "b", "c")), user_key="bob", fields={"title": "Theirs"})
        assert (found.made, found.messages, found.replayed) == (False, 2, 1)
        assert self.ids() == ["a", "b", "c"]
        record = self.sessions.get(self.at())
        assert record is not None
        assert record.title == "Mine"

    @restoring
    def test_a_refused_conversation_does_not_affect_the_others(self) -> None:
        before = self.append("a", key="old")
        found = self.archive.restore(
            [
                self._pair("first", users("a")),
                self._pair("old", [user("new"), user("a", "other")]),
                self._pair("last", users("b")),
            ]
        )
        assert [(answered.made, answered.messages) for answered in found] == [(True, 1), (False, 0), (True, 1)]
        assert isinstance(found[1].error, MessageConflict)
        assert [self.ids(key=key) for key in ("first", "old", "last")] == [["a"], ["a"], ["b"]]
        assert self.header("old") == before

    @restoring
    def test_a_call_without_conversations_does_nothing(self) -> None:
        assert self.archive.restore([]) == []

    @restoring
    def test_many_conversations_are_restored_together(self) -> None:
        keys = [f"k{number}" for number in range(120)]
        found = self.archive.restore([self._pair(key, aged(*users("a", "b"))) for key in keys])
        assert found == [Restored(made=True, messages=2)] * len(keys)
        assert {record.key for record in self.sessions.find(self.workspace, size=500)} == set(keys)
        assert self.ids(key="k77") == ["a", "b"]

    @where("archive", "branches")
    def test_a_conversation_is_restored_with_its_branches(self) -> None:
        found = self._restore(aged(*users("a", "b", "c")), branches=_branches())
        assert (found.made, found.messages, found.error) == (True, 6, None)
        assert self.ids(branch="main") == ["a", "b", "c"]
        assert self.ids(branch="one") == ["a", "b", "x", "y"]
        assert self.ids(branch="two") == self.ids() == ["a", "b", "x", "z"]
        branches = {branch.name: (branch.parent, branch.fork_seq) for branch in self.branches.all(self.at())}
        assert branches == {"main": (None, 0), "one": ("main", 2), "two": ("one", 3)}
        assert self.current() == "two"
        again = self._restore(aged(*users("a", "b", "c")), branches=_branches())
        assert (again.made, again.messages, again.error) == (False, 0, None)

    @where("archive", "branches")
    def test_a_restored_branch_is_pending_as_it_was(self) -> None:
        """Its first message makes it current, unless a restore brings that."""
        one, two = (_waiting(name) for name in ("one", "two"))
        self._restore(aged(*users("a", "b")), branches=[one])
        self._restore(aged(*users("a", "b")), branches=[one, two])
        assert [branch.pending for branch in self.branches.all(self.at())] == [False, True, True]
        filled = msgspec.structs.replace(two, pending="", messages=aged(*users("x")))
        self._restore(aged(*users("a", "b")), branches=[one, filled])
        assert [branch.pending for branch in self.branches.all(self.at())] == [False, True, False]
        assert self.current() == "main"
        self.append("y", branch="one")
        assert (self.current(), self.ids()) == ("one", ["a", "y"])

    @where("archive", "branches", "turns")
    def test_turns_that_a_branch_hides_are_counted(self) -> None:
        own = msgspec.structs.replace(user("x"), turn=4)
        for name in ("first", "added"):  # with a new conversation, and added to an existing one
            draft = TranscriptBranch(name, "main", fork_seq=2, base_seq=5, messages=[own])
            self._restore(aged(*users("a", "b")), branches=[draft])
            assert [message.turn for message in self.messages.read(self.at(branch=name)).messages] == [4]

    @where("archive", "turns")
    def test_a_number_that_no_turn_has_is_none(self) -> None:
        """Imported lines may have any value as ``turn``; such messages are shown with the question before them."""
        numbers = (-1, -3, -1, 0, 2**70, -(2**63), 2**70, -5)
        said = aged(
            answer("hello"), *(user(q) if q < "b" else answer(q) for q in ("a1", "b", "c", "a2", "d", "e", "f"))
        )
        given = [msgspec.structs.replace(each, turn=turn) for each, turn in zip(said, numbers, strict=True)]
        for number in (7, 8):  # in a new conversation, and in an existing one
            assert self._restore(given[:number]).error is None
            turns = [message.turn for message in self.messages.read(self.at()).messages]
            assert turns == [0, 1, 1, 1, 2, 2, 2, 2][:number]
            assert len(self.messages.window(self.at(), Budget(turns=2)).messages) == number - 1

    @where("archive", "summaries")
    def test_a_conversation_is_restored_with_its_summaries(self) -> None:
        kept = TranscriptSummary("main", 1, 2, "text", model="m", created_at=YEARS_AGO, tokens=7)
        for _time in range(2):
            self._restore(aged(*users("a", "b", "c")), summaries=[kept])
            assert self.summaries.all(self.at()) == [Summary(1, 2, "text", "m", 7, YEARS_AGO)]

    @restoring
    def test_a_restore_is_sent(self) -> None:
        self.append("a", key="old")
        with self.listening() as events:
            pairs = [self._pair("new", users("a", "b")), self._pair("old", users("a", "b"))]
            self.archive.restore([*pairs, self._pair("old", [user("a", "other")])])
        sent = [(event.key, event.kind, event.branch, event.made, event.header) for event in events]
        assert sorted(sent, key=lambda one: one[0]) == [
            ("new", Kind.RESTORED, "main", True, self.header("new")),
            ("old", Kind.RESTORED, "main", False, self.header("old")),
        ]

    @where("archive", "branches")
    def test_a_restore_is_sent_for_each_branch(self) -> None:
        with self.listening() as events:
            self._restore(aged(*users("a", "b", "c")), branches=_branches())
        sent = {event.branch: (event.kind, event.header) for event in events}
        assert sent == {name: (Kind.RESTORED, self.header(branch=name)) for name in ("main", "one", "two")}
        assert len(events) == len(sent)

    @restoring
    @override_settings(CHAT_MEMORY={"CREATE_WORKSPACES": False})
    def test_an_unknown_workspace_is_made_by_a_restore_only_where_allowed(self) -> None:
        with self.listening() as events, pytest.raises(WorkspaceNotFound):
            self._restore(users("a"))
        assert events == []
        self.make_workspace(self.workspace)
        assert self._restore(users("a")).made

    def _restore(self, messages: list[Message], **fields: Any) -> Restored:
        (found,) = self.archive.restore([self._pair("k", messages, **fields)])
        return found

    def _pair(self, key: str, messages: list[Message], **fields: Any) -> tuple[Address, Transcript]:
        address = self.at(key, user_key=fields.get("user_key", ""))
        return address, Transcript(key=key, messages=messages, **fields)


def _waiting(name: str) -> TranscriptBranch:
    """A branch of ``main`` that waits for its first message."""
    pending = Pending.ANSWERED.value
    return TranscriptBranch(name, parent="main", fork_seq=1, base_seq=0, messages=[], pending=pending)


def _branches() -> list[TranscriptBranch]:
    """A branch forked from ``main``, and a current branch forked from that."""
    one, two = aged(*users("x", "y")), aged(*users("z"))
    return [
        TranscriptBranch("one", parent="main", fork_seq=2, base_seq=0, messages=one),
        TranscriptBranch("two", parent="one", fork_seq=3, base_seq=0, messages=two, current=True),
    ]
