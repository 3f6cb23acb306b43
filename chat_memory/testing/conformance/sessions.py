"""Owns the clauses of sessions: ``open``, ``get``, ``update`` and ``delete``."""
# ruff: noqa: D102, S101  # clauses are tests, shipped: the name of one is its first sentence

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest

from chat_memory.exceptions import BranchNotFound, SessionNotFound, VersionConflict
from chat_memory.records import Message, Span
from chat_memory.storage.listing import Filter
from chat_memory.testing.conformance.kit import SENT_AT, Kit, positions, user, users

FIELDS: dict[str, Any] = {
    "title": "Tïtle",
    "tags": ["b", "a"],
    "metadata": {"z": [1, {"a": None}]},
    "pinned": True,
    "archived_at": SENT_AT.astimezone(timezone(timedelta(hours=2))),
    "expires_at": SENT_AT.replace(year=2036),
}


class SessionClauses(Kit):
    """See ``SessionStore``."""

    def test_open_makes_a_session_once(self) -> None:
        made, is_new = self.sessions.open(self.at(user_key="bob"), FIELDS)
        assert is_new
        assert {name: getattr(made, name) for name in FIELDS} == FIELDS
        assert (made.workspace, made.key, made.branch, made.user_key) == (self.workspace, "k", "main", "bob")
        assert (made.message_count, made.last_seq, made.base_seq, made.last_turn) == (0, 0, 0, 0)
        again, is_new = self.sessions.open(self.at(user_key="eve", any_owner=True), {"title": "other"})
        assert (again, is_new) == (made, False)
        assert self.sessions.get(self.at()) == made
        assert str(made.archived_at).endswith("+00:00")

    def test_open_sets_the_fields_that_an_import_passes(self) -> None:
        """``created_at`` and ``base_seq`` are stored."""
        made, _is_new = self.sessions.open(self.at(), {"created_at": SENT_AT, "base_seq": 7})
        assert (made.created_at, made.base_seq, made.last_seq, made.message_count) == (SENT_AT, 7, 7, 0)
        assert positions(self.messages.append(self.at(), users("a", "b")).messages) == [8, 9]
        assert positions(self.messages.append(self.at(), users("b", "c")).messages) == [9, 10]
        assert self.ids(Span(last=2)) == ["b", "c"]
        assert self.ids(Span(first=1)) == ["a"]
        self.assert_counters(message_count=3, last_seq=10, base_seq=7)

    def test_open_without_fields_gives_defaults(self) -> None:
        before = datetime.now(UTC)
        made, _is_new = self.sessions.open(self.at())
        assert (made.title, made.tags, made.metadata, made.pinned) == ("", [], {}, False)
        assert (made.archived_at, made.deleted_at, made.expires_at, made.user_key) == (None, None, None, "")
        assert made.created_at.tzinfo is UTC
        assert (made.created_at - before).total_seconds() < 60

    def test_a_pinned_address_means_one_session_alone(self) -> None:
        """Nothing of another session with its key is shown or changed, and none is made."""
        header = self.append("a")
        ids: dict[str, Any] = {"session_id": header.session_id, "workspace_id": header.workspace_id}
        pinned = self.at(pinned=True, **ids)
        assert positions(self.messages.append(pinned, users("b")).messages) == [2]
        assert positions(self.messages.read(pinned).messages) == [1, 2]
        self.sessions.delete(self.at())
        for left in ([], ["other"]):
            if left:
                self.append(*left)
            assert (self.messages.read(pinned).messages, self.sessions.get(pinned)) == ([], None)
            assert (self.messages.clear(pinned), self.sessions.delete(pinned)) == (None, False)
            for call in (
                lambda: self.messages.append(pinned, users("c")),
                lambda: self.sessions.open(pinned),
                lambda: self.sessions.update(pinned, {"title": "t"}),
            ):
                with pytest.raises(SessionNotFound):
                    call()
            assert self.ids() == left

    def test_an_opened_session_is_appended_to(self) -> None:
        made, _is_new = self.sessions.open(self.at())
        commit = self.messages.append(self.at(), users("a"), if_version=made.version)
        assert commit.header.session_id == made.id
        assert positions(commit.messages) == [1]

    def test_making_a_session_is_its_first_change(self) -> None:
        """Version 0 means that there is no session, so an append with ``if_version=0`` fails on an opened one."""
        made, _is_new = self.sessions.open(self.at())
        assert (made.version, self.sessions.open(self.at())[0].version) == (1, 1)
        with pytest.raises(VersionConflict) as caught:
            self.messages.append(self.at(), users("a"), if_version=0)
        assert (caught.value.expected, caught.value.actual) == (0, 1)
        commit = self.messages.append(self.at(), users("a"), if_version=1)
        assert commit.change is not None
        assert (commit.change.prev_version, commit.change.prev_vtoken) == (1, made.vtoken)

    def test_open_never_makes_a_branch(self) -> None:
        with pytest.raises(BranchNotFound):
            self.sessions.open(self.at(branch="draft"))
        assert self.sessions.find(self.workspace) == []

    def test_update_sets_what_it_names_and_moves_the_version(self) -> None:
        self.append("a")
        before, seen = self.sessions.get(self.at()), self.header()
        assert before is not None
        after = self.sessions.update(self.at(), FIELDS)
        assert {name: getattr(after, name) for name in FIELDS} == FIELDS
        assert (after.version, after.message_count) == (before.version + 1, 1)
        assert after.updated_at >= before.updated_at
        assert self.header() != seen
        cleared = self.sessions.update(self.at(), {"archived_at": None, "tags": []})
        assert (cleared.archived_at, cleared.tags, cleared.title) == (None, [], FIELDS["title"])
        assert self.sessions.get(self.at()) == cleared

    def test_update_is_made_at_its_version_alone(self) -> None:
        before = self.append("a")
        with pytest.raises(VersionConflict) as caught:
            self.sessions.update(self.at(), {"title": "x"}, if_version=before.version + 1)
        assert (caught.value.expected, caught.value.actual) == (before.version + 1, before.version)
        assert self.header() == before
        assert self.sessions.update(self.at(), {"title": "x"}, if_version=before.version).title == "x"

    def test_update_of_an_unknown_session_is_refused(self) -> None:
        with pytest.raises(SessionNotFound):
            self.sessions.update(self.at(), {"title": "x"})
        assert self.sessions.get(self.at()) is None

    def test_records_are_detached(self) -> None:
        """Changing the passed or the returned values does not change the store."""
        given: dict[str, Any] = {"tags": ["a"], "metadata": {"list": []}}
        held, _is_new = self.sessions.open(self.at(), given)
        for record in (held, self.sessions.get(self.at()), *self.sessions.find(self.workspace)):
            assert record is not None
            record.tags.append("tampered")
            record.metadata["list"].append("tampered")
        given["metadata"]["list"].append("tampered")
        found = self.sessions.get(self.at())
        assert found is not None
        assert (found.tags, found.metadata) == (["a"], {"list": []})

    def test_counters_follow_the_messages(self) -> None:
        """A turn begins with a user message; hidden messages do not count in ``message_count``."""
        reply = Message("assistant", "ok", id="r", created_at=SENT_AT)
        self.messages.append(self.at(), [user("a"), reply, user("b")])
        self.messages.append(self.at(), [user("c"), user("a")])
        self.assert_counters(message_count=4, last_seq=4, base_seq=0, last_turn=3, version=2)
        self.messages.clear(self.at())
        self.assert_counters(message_count=0, last_seq=4, base_seq=4, last_turn=3, version=3)
        self.append("d")
        self.assert_counters(message_count=1, last_seq=5, base_seq=4, last_turn=4, version=4)
        assert len(self.ids()) == 1

    def assert_counters(self, **expected: int) -> None:
        """Check that some counters of the session have these values."""
        record = self.sessions.get(self.at())
        assert {name: getattr(record, name) for name in expected} == expected

    def test_a_session_without_an_owner_gets_the_first_user(self) -> None:
        self.append("a")
        assert self.messages.append(self.at(user_key="bob"), users("a")).change is None
        assert self._owner() == ""
        self.messages.append(self.at(user_key="bob"), users("b"))
        assert self._owner() == "bob"
        self.messages.append(self.at(user_key="eve", any_owner=True), users("c"))
        self.append("d")
        assert self._owner() == "bob"
        assert [record.key for record in self.sessions.find(self.workspace, Filter(user_key="bob"))] == ["k"]
        assert self.sessions.find(self.workspace, Filter(user_key="eve")) == []

    def test_the_first_writer_owns_a_new_session(self) -> None:
        self.messages.append(self.at(user_key="bob"), users("a"))
        assert self._owner() == "bob"

    def test_delete_removes_everything(self) -> None:
        """Also for addresses with the session's ids; the next append creates another session."""
        old = self.append("a", "b")
        self.append("a", key="other")
        assert self.sessions.delete(self.at())
        assert not self.sessions.delete(self.at())
        assert (self.ids(), self.header(), self.sessions.get(self.at())) == ([], None, None)
        assert [record.key for record in self.sessions.find(self.workspace)] == ["other"]
        assert self.ids(key="other") == ["a"]
        commit = self.messages.append(self.at(), [user("a", "now of other content")])
        assert (positions(commit.messages), commit.header.version) == ([1], 1)
        assert commit.header.session_id != old.session_id
        assert commit.header.vtoken != old.vtoken

    def test_delete_of_an_unknown_session_is_false(self) -> None:
        assert not self.sessions.delete(self.at())
        assert self.sessions.find(self.workspace) == []

    def _owner(self) -> str | None:
        record = self.sessions.get(msgspec.structs.replace(self.at(), user_key="somebody else", any_owner=True))
        return record.user_key if record else None
