"""Owns the clauses of sessions: making, describing, listing and deleting them."""
# ruff: noqa: D102, S101  # clauses are tests, shipped: the name of one is its first sentence

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from asgiref.sync import async_to_sync

from chat_memory.exceptions import BranchNotFound, SessionNotFound, VersionConflict
from chat_memory.records import Message, SessionRecord, Span
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
        made, is_new = self.adapter.open(self.at(user_key="bob"), FIELDS)
        assert is_new
        assert {name: getattr(made, name) for name in FIELDS} == FIELDS
        assert (made.workspace, made.key, made.branch, made.user_key) == (self.workspace, "k", "main", "bob")
        assert (made.message_count, made.last_seq, made.base_seq, made.last_turn) == (0, 0, 0, 0)
        again, is_new = self.adapter.open(self.at(user_key="eve"), {"title": "other"})
        assert (again, is_new) == (made, False)
        assert self.adapter.get(self.at()) == made
        assert str(made.archived_at).endswith("+00:00")

    def test_open_takes_what_an_import_knows(self) -> None:
        """See OPEN_FIELDS: positions that a clear had spent stay spent."""
        made, _is_new = self.adapter.open(self.at(), {"created_at": SENT_AT, "base_seq": 7})
        assert (made.created_at, made.base_seq, made.last_seq, made.message_count) == (SENT_AT, 7, 7, 0)
        assert positions(self.adapter.append(self.at(), users("a", "b")).messages) == [8, 9]
        assert positions(self.adapter.append(self.at(), users("b", "c")).messages) == [9, 10]
        assert self.ids(Span(last=2)) == ["b", "c"]
        assert self.ids(Span(first=1)) == ["a"]
        self.assert_counters(message_count=3, last_seq=10, base_seq=7)

    def test_open_without_fields_gives_defaults(self) -> None:
        before = datetime.now(UTC)
        made, _is_new = self.adapter.open(self.at())
        assert (made.title, made.tags, made.metadata, made.pinned) == ("", [], {}, False)
        assert (made.archived_at, made.deleted_at, made.expires_at, made.user_key) == (None, None, None, "")
        assert made.created_at.tzinfo is UTC
        assert (made.created_at - before).total_seconds() < 60

    def test_an_opened_session_is_appended_to(self) -> None:
        made, _is_new = self.adapter.open(self.at())
        commit = self.adapter.append(self.at(), users("a"), if_version=made.version)
        assert commit.header.session_id == made.id
        assert positions(commit.messages) == [1]

    def test_making_a_session_is_its_first_change(self) -> None:
        """Version 0 is where there is none, so who appends at 0 never meets a session that somebody opened."""
        made, _is_new = self.adapter.open(self.at())
        assert (made.version, self.adapter.open(self.at())[0].version) == (1, 1)
        with pytest.raises(VersionConflict) as caught:
            self.adapter.append(self.at(), users("a"), if_version=0)
        assert (caught.value.expected, caught.value.actual) == (0, 1)
        commit = self.adapter.append(self.at(), users("a"), if_version=1)
        assert commit.change is not None
        assert (commit.change.prev_version, commit.change.prev_vtoken) == (1, made.vtoken)

    def test_open_never_makes_a_branch(self) -> None:
        with pytest.raises(BranchNotFound):
            self.adapter.open(self.at(branch="draft"))
        assert self.adapter.find(self.workspace) == []

    def test_update_sets_what_it_names_and_moves_the_version(self) -> None:
        self.append("a")
        before, seen = self.adapter.get(self.at()), self.header()
        assert before is not None
        after = self.adapter.update(self.at(), FIELDS)
        assert {name: getattr(after, name) for name in FIELDS} == FIELDS
        assert (after.version, after.message_count) == (before.version + 1, 1)
        assert after.updated_at >= before.updated_at
        assert self.header() != seen
        cleared = self.adapter.update(self.at(), {"archived_at": None, "tags": []})
        assert (cleared.archived_at, cleared.tags, cleared.title) == (None, [], FIELDS["title"])
        assert self.adapter.get(self.at()) == cleared

    def test_update_of_the_unknown_is_refused(self) -> None:
        with pytest.raises(SessionNotFound):
            self.adapter.update(self.at(), {"title": "x"})
        assert self.adapter.get(self.at()) is None

    def test_records_are_detached(self) -> None:
        """FEATURES J15: neither what is returned nor what was given can change the store."""
        given: dict[str, Any] = {"tags": ["a"], "metadata": {"list": []}}
        held, _is_new = self.adapter.open(self.at(), given)
        for record in (held, self.adapter.get(self.at()), *self.adapter.find(self.workspace)):
            assert record is not None
            record.tags.append("tampered")
            record.metadata["list"].append("tampered")
        given["metadata"]["list"].append("tampered")
        found = self.adapter.get(self.at())
        assert found is not None
        assert (found.tags, found.metadata) == (["a"], {"list": []})

    def test_counters_follow_the_messages(self) -> None:
        """FEATURES J25, R06: a turn begins with a user's message; a hidden message is not counted."""
        reply = Message("assistant", "ok", id="r", created_at=SENT_AT)
        self.adapter.append(self.at(), [user("a"), reply, user("b")])
        self.adapter.append(self.at(), [user("c"), user("a")])
        self.assert_counters(message_count=4, last_seq=4, base_seq=0, last_turn=3, version=2)
        self.adapter.clear(self.at())
        self.assert_counters(message_count=0, last_seq=4, base_seq=4, last_turn=3, version=3)
        self.append("d")
        self.assert_counters(message_count=1, last_seq=5, base_seq=4, last_turn=4, version=4)
        assert len(self.ids()) == 1

    def assert_counters(self, **expected: int) -> None:
        """Compare some of the session's counters."""
        record = self.adapter.get(self.at())
        assert {name: getattr(record, name) for name in expected} == expected

    def test_a_session_of_nobody_is_claimed_once(self) -> None:
        """FEATURES J05, E07."""
        self.append("a")
        assert self.adapter.append(self.at(user_key="bob"), users("a")).change is None
        assert self._owner() == ""
        self.adapter.append(self.at(user_key="bob"), users("b"))
        assert self._owner() == "bob"
        self.adapter.append(self.at(user_key="eve"), users("c"))
        self.append("d")
        assert self._owner() == "bob"
        assert [record.key for record in self.adapter.find(self.workspace, user_key="bob")] == ["k"]
        assert self.adapter.find(self.workspace, user_key="eve") == []

    def test_the_first_writer_owns_a_new_session(self) -> None:
        self.adapter.append(self.at(user_key="bob"), users("a"))
        assert self._owner() == "bob"

    def test_listing_is_by_last_change(self) -> None:
        """FEATURES N31."""
        for key in "abc":
            self.append("1", key=key)
        self.append("2", key="a")
        self.adapter.update(self.at("b"), {"title": "x"})
        assert self._keys() == ["b", "a", "c"]
        self.adapter.clear(self.at("c"))
        assert self._keys() == ["c", "b", "a"]
        assert self._keys(size=2) == ["c", "b"]
        assert self._keys(size=0) == []
        assert self.adapter.find(f"{self.workspace}.other") == []

    def test_listing_goes_on_after_a_record(self) -> None:
        """Keyset: nothing skipped, nothing twice, though sessions before the page change meanwhile."""
        keys = [f"k{number}" for number in range(7)]
        for key in keys:
            self.append("1", key=key)
        pages: list[SessionRecord] = []
        for _page in range(4):
            pages += self.adapter.find(self.workspace, before=pages[-1] if pages else None, size=3)
            self.append(f"{len(pages)}", key="k6")
        assert [record.key for record in pages] == keys[::-1]

    def test_listing_by_user(self) -> None:
        """FEATURES J01: the filter is never ignored."""
        for number, owner in enumerate(("bob", "eve", "", "bob", "Bob", "b*b")):
            self.adapter.append(self.at(f"{number}", user_key=owner), users("a"))
        assert self._keys(user_key="bob") == ["3", "0"]
        assert self._keys(user_key="") == ["2"]
        assert self._keys(user_key="nobody") == []
        assert self._keys(user_key="bob", size=1) == ["3"]
        first = self.adapter.find(self.workspace, user_key="bob", size=1)[0]
        assert self._keys(user_key="bob", before=first) == ["0"]

    def test_listed_records_are_those_of_get(self) -> None:
        for key in "ab":
            self.adapter.open(self.at(key), FIELDS)
            self.append("1", key=key)
        assert self.adapter.find(self.workspace) == [self.adapter.get(self.at("b")), self.adapter.get(self.at("a"))]

    def test_delete_takes_everything(self) -> None:
        """FEATURES N09, J10: gone for every handle, and the next append begins anew."""
        old = self.append("a", "b")
        self.append("a", key="other")
        assert self.adapter.delete(self.at())
        assert not self.adapter.delete(self.at())
        assert (self.ids(), self.header(), self.adapter.get(self.at())) == ([], None, None)
        assert self._keys() == ["other"]
        assert self.ids(key="other") == ["a"]
        commit = self.adapter.append(self.at(), [user("a", "now of other content")])
        assert (positions(commit.messages), commit.header.version) == ([1], 1)
        assert commit.header.session_id != old.session_id
        assert commit.header.vtoken != old.vtoken

    def test_delete_of_the_unknown_is_false(self) -> None:
        assert not self.adapter.delete(self.at())
        assert self.adapter.find(self.workspace) == []

    def test_session_verbs_have_twins(self) -> None:
        adapter = self.adapter
        made, is_new = async_to_sync(adapter.aopen)(self.at(), {"title": "t"})
        assert (made.title, is_new) == ("t", True)
        assert async_to_sync(adapter.aupdate)(self.at(), {"title": "u"}).title == "u"
        found = async_to_sync(adapter.aget)(self.at())
        assert found is not None
        assert async_to_sync(adapter.afind)(self.workspace, user_key="", before=None, size=5) == [found]
        assert async_to_sync(adapter.adelete)(self.at())

    def _keys(self, **wanted: Any) -> list[str]:
        return [record.key for record in self.adapter.find(self.workspace, **wanted)]

    def _owner(self) -> str | None:
        record = self.adapter.get(msgspec.structs.replace(self.at(), user_key="somebody else"))
        return record.user_key if record else None
