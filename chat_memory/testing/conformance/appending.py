"""Owns the clauses of ``append`` by one writer: positions, replays, conflicts, and the sessions that it creates."""
# ruff: noqa: D102, S101  # clauses are tests, shipped: the name of one is its first sentence

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from django.test import override_settings

from chat_memory.choices import State
from chat_memory.exceptions import BranchNotFound, MessageConflict, VersionConflict, WorkspaceNotFound
from chat_memory.records import Message
from chat_memory.testing.conformance.kit import SENT_AT, Kit, positions, user, users

FULL = (
    Message("system", "", name="rules", id="empty", created_at=SENT_AT, tokens=0),
    Message("user", [{"type": "text", "text": "é\u2028"}, {"z": 1, "a": [1.5, None, True]}], id="parts", tokens=7),
    Message("assistant", None, tool_calls=[{"id": "c", "function": {"arguments": "{}"}}], id="none", tokens=1),
    Message("assistant", None, tool_calls=[{"id": "c"}], id="absent", content_absent=True, tokens=1),
    Message("tool", "42", tool_call_id="c", metadata={"z": 2**70, "a": {}, "ü": [[]]}, id="tool", tokens=None),
    Message("function", "ok", name="f", metadata={}, id="function", tokens=2**31 - 1),
    Message("assistant", "cut o", id="failed", tokens=2, state=State.FAILED.value),
    Message("assistant", None, id="nothing", tokens=4),
    Message("assistant", "", id="further", tokens=4, extra={"reasoning_content": "é", "b": {"z": 1, "a": [None]}}),
    Message("system", "x", id="developer", tokens=5, extra={"role": "developer"}),
)


class AppendClauses(Kit):
    """See ``MessageStore.append``."""

    def test_positions_are_dense_and_adjacent(self) -> None:
        first = self.messages.append(self.at(), users("a", "b"))
        second = self.messages.append(self.at(), users("c"))
        assert positions(first.messages + second.messages) == [1, 2, 3]
        assert second.header.last_seq == 3
        assert self.ids() == ["a", "b", "c"]

    def test_a_message_comes_back_as_it_was_given(self) -> None:
        """In every field: None, absent and "" stay distinct, and numbers and the order of keys are unchanged."""
        given = [msgspec.structs.replace(message, created_at=SENT_AT) for message in FULL]
        commit = self.messages.append(self.at(), given)
        read = self.messages.read(self.at()).messages
        placed = zip(given, read, strict=True)  # other clauses check the turn numbers
        expected = [
            msgspec.structs.replace(message, seq=seq, turn=stored.turn)
            for seq, (message, stored) in enumerate(placed, 1)
        ]
        assert list(commit.messages) == expected
        assert read == expected
        assert [_key_orders(message) for message in read] == [_key_orders(message) for message in expected]

    def test_every_change_moves_version_and_token(self) -> None:
        headers = [self.append("a"), self.append("b"), self.append("c")]
        assert [header.version for header in headers] == [1, 2, 3]
        assert len({header.vtoken for header in headers}) == 3
        assert self.header() == headers[-1]

    def test_change_names_what_it_replaced(self) -> None:
        before = self.append("a")
        commit = self.messages.append(self.at(), users("b"))
        assert commit.change is not None
        assert (commit.change.prev_version, commit.change.prev_vtoken) == (before.version, before.vtoken)
        assert commit.change.header == commit.header

    def test_a_replay_gives_the_stored_message_and_changes_nothing(self) -> None:
        """A retry may differ in its time, order of keys, token count and state."""
        stored = self.messages.append(self.at(), [user("a", metadata={"x": 1, "y": 2}), user("b")])
        again = user("a", metadata={"y": 2, "x": 1}, created_at=SENT_AT.replace(year=2027), tokens=9, state="failed")
        replay = self.messages.append(self.at(), [again])
        assert replay.change is None
        assert replay.messages == stored.messages[:1]
        assert replay.header == stored.header == self.header()

    def test_a_partly_known_call_stores_what_is_missing(self) -> None:
        self.append("a", "b")
        commit = self.messages.append(self.at(), users("b", "c", "a", "d"))
        assert positions(commit.messages) == [2, 3, 1, 4]
        assert commit.header.version == 2
        assert self.ids() == ["a", "b", "c", "d"]

    def test_a_call_with_a_known_id_and_other_content_is_refused_whole(self) -> None:
        before = self.append("a")
        changes: list[dict[str, Any]] = [{"content": "other"}, {"name": "n"}, {"metadata": {}}, {"tool_call_id": "t"}]
        for changed in changes:
            with pytest.raises(MessageConflict) as caught:
                self.messages.append(self.at(), [user("new"), user("a", **changed)])
            assert caught.value.message_id == "a"
        assert self.ids() == ["a"]
        assert self.header() == before

    def test_ids_are_compared_exactly_and_per_session(self) -> None:
        self.append("a", "A", "a ", "é", "e\u0301")
        self.append("a", key="other")
        assert len(self.ids()) == 5
        assert self.ids(key="other") == ["a"]

    def test_version_is_compared_before_anything_new_is_stored(self) -> None:
        version = self.messages.append(self.at(), users("a"), if_version=0).header.version
        assert self.messages.append(self.at(), users("b"), if_version=version).header.version == version + 1
        with pytest.raises(VersionConflict) as caught:
            self.messages.append(self.at(), users("b", "c"), if_version=version)
        assert (caught.value.expected, caught.value.actual) == (version, version + 1)
        assert self.ids() == ["a", "b"]

    def test_a_pure_replay_succeeds_at_any_version(self) -> None:
        self.append("a")
        self.append("b")
        replay = self.messages.append(self.at(), users("a"), if_version=0)
        assert (replay.change, positions(replay.messages)) == (None, [1])

    def test_version_zero_means_no_session(self) -> None:
        with pytest.raises(VersionConflict) as caught:
            self.messages.append(self.at(), users("a"), if_version=3)
        assert (caught.value.expected, caught.value.actual) == (3, 0)
        assert self.sessions.get(self.at()) is None

    def test_ids_remembered_from_a_deleted_session_do_no_harm(self) -> None:
        """An address with the ids of the deleted session writes to the new one."""
        old = self.append("a", "b")
        stale = self.at(session_id=old.session_id, workspace_id=old.workspace_id)
        self.sessions.delete(self.at())
        commit = self.messages.append(stale, users("a"))
        assert (positions(commit.messages), commit.header.version) == ([1], 1)
        assert commit.header.session_id != old.session_id
        assert len(self.messages.read(stale).messages) == 1

    def test_an_unknown_branch_is_never_made_by_a_write(self) -> None:
        self.append("a")
        with pytest.raises(BranchNotFound):
            self.messages.append(self.at(branch="draft"), users("b"))
        assert self.ids() == ["a"]

    @override_settings(CHAT_MEMORY={"CREATE_WORKSPACES": False})
    def test_an_unknown_workspace_is_made_only_where_allowed(self) -> None:
        refused: list[Any] = [lambda: self.append("a"), lambda: self.sessions.open(self.at())]
        for call in refused:
            with pytest.raises(WorkspaceNotFound):
                call()
        self.make_workspace(self.workspace)
        assert self.append("a").last_seq == 1

    def test_a_large_call_is_stored_whole(self) -> None:
        ids = [f"{number}" for number in range(2_500)]
        assert self.append(*ids).last_seq == 2_500
        assert self.ids() == ids


def _key_orders(message: Message) -> tuple[str, str]:
    return repr(message.metadata), repr(message.content)
