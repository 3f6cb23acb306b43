"""Owns the clauses of change events of messages and sessions: one for each committed change, and no others."""
# ruff: noqa: D102, S101  # clauses are tests, shipped: the name of one is its first sentence

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
import pytest

from chat_memory.exceptions import ChatMemoryError
from chat_memory.records import Header
from chat_memory.storage.changed import Changed, Kind, changed
from chat_memory.storage.contract import Batch
from chat_memory.testing.conformance.kit import Kit, at_once, positions, user, users, where

WRITERS = 4
CALLS = 5


class EventKit(Kit):
    """Expected events, for the clauses of events."""

    def event(self, kind: Kind, header: Header, **fields: Any) -> Changed:
        """The expected event of a change on ``main``, made with an address that names no branch."""
        given = {"branch": "main", "using": self.adapter.alias} | fields
        return Changed(
            kind=kind, workspace=self.workspace, key="k", session_id=header.session_id, header=header, **given
        )

    def deleted_event(self, session_id: UUID, branch: str = "main", asked: str = "") -> Changed:
        return Changed(
            kind=Kind.DELETED,
            workspace=self.workspace,
            key="k",
            session_id=session_id,
            branch=branch,
            asked=asked,
            using=self.adapter.alias,
        )

    def assert_refused_and_not_sent(self, *calls: Callable[[], object]) -> None:
        with self.listening() as events:
            for call in calls:
                with pytest.raises(ChatMemoryError):
                    call()
        assert events == []


class EventClauses(EventKit):
    """See ``storage.changed``."""

    def test_the_append_that_makes_a_session_is_sent(self) -> None:
        with self.listening() as events:
            commit = self.messages.append(self.at(user_key="bob", cache_ttl=60), users("a", "b"))
        expected = self.event(Kind.APPENDED, commit.header, first_seq=1, last_seq=2, made=True, commit=commit)
        assert events == [_with(expected, cache_ttl=60)]

    def test_a_later_append_is_sent(self) -> None:
        self.append("a")
        with self.listening() as events:
            commit = self.messages.append(self.at(branch="main"), users("b", "c"))
        expected = self.event(Kind.APPENDED, commit.header, first_seq=2, last_seq=3, commit=commit, asked="main")
        assert events == [expected]

    def test_an_append_to_an_opened_session_is_sent(self) -> None:
        self.sessions.open(self.at())
        with self.listening() as events:
            commit = self.messages.append(self.at(), users("a"), title="Made")
        assert [(event.kind, event.header, event.made) for event in events] == [(Kind.APPENDED, commit.header, False)]

    def test_a_partly_known_append_is_sent_with_what_is_new(self) -> None:
        self.append("a", "b")
        with self.listening() as events:
            commit = self.messages.append(self.at(), users("b", "c", "a", "d"))
        (event,) = events
        assert (event.kind, event.header, event.first_seq, event.last_seq) == (Kind.APPENDED, commit.header, 3, 4)
        assert event.commit is not None
        assert (event.commit.header, event.commit.change) == (commit.header, commit.change)
        assert {3, 4} <= {*positions(event.commit.messages)}

    @where("changes_several")
    def test_each_of_several_appends_is_sent(self) -> None:
        self.append("a", key="old")
        batches: list[Batch] = [(self.at(key), users("b"), None) for key in ("new", "old")]
        batches.append((self.at("known"), users("k"), None))
        self.append("k", key="known")
        with self.listening() as events:
            commits = self.messages.append_many(batches)
        sent = {event.key: (event.kind, event.header, event.made, event.commit) for event in events}
        assert len(events) == len(sent)
        assert sent == {
            "new": (Kind.APPENDED, commits[0].header, True, commits[0]),
            "old": (Kind.APPENDED, commits[1].header, False, commits[1]),
        }

    def test_opening_a_new_session_is_sent(self) -> None:
        with self.listening() as events:
            record, _made = self.sessions.open(self.at(), {"title": "t"})
        (event,) = events
        assert (event.kind, event.made, event.session_id, event.header) == (Kind.OPENED, True, record.id, self.header())

    def test_an_update_is_sent(self) -> None:
        self.append("a")
        with self.listening() as events:
            self.sessions.update(self.at(), {"title": "t", "tags": ["x"]})
        (event,) = events
        assert (event.kind, event.header, event.made, event.branch) == (Kind.UPDATED, self.header(), False, "main")
        assert sorted(event.fields) == ["tags", "title"]

    def test_a_clear_is_sent(self) -> None:
        self.append("a", "b")
        with self.listening() as events:
            change = self.messages.clear(self.at())
        assert change is not None
        assert events == [self.event(Kind.CLEARED, change.header, first_seq=1, last_seq=2)]

    def test_a_deletion_is_sent(self) -> None:
        header = self.append("a")
        self.append("a", key="other")
        with self.listening() as events:
            assert self.sessions.delete(self.at())
        assert events == [self.deleted_event(header.session_id, asked=events[0].asked)]

    def test_what_changes_nothing_is_not_sent(self) -> None:
        self.append("a")
        with self.listening() as events:
            self.messages.append(self.at(), users("a"), title="t")
            self.messages.clear(self.at("unknown"))
            self.sessions.open(self.at(), {"title": "t"})
            self.sessions.delete(self.at("unknown"))
            self.messages.read(self.at())
            self.messages.peek(self.at("unknown"))
            self.sessions.find(self.workspace)
        assert events == []

    def test_what_is_refused_is_not_sent(self) -> None:
        self.append("a")
        self.assert_refused_and_not_sent(
            lambda: self.messages.append(self.at(), [user("b"), user("a", "other")]),
            lambda: self.messages.append(self.at(), users("b"), if_version=7),
            lambda: self.messages.append(self.at(branch="draft"), users("b")),
            lambda: self.sessions.open(self.at(branch="draft")),
            lambda: self.sessions.update(self.at("unknown"), {"title": "t"}),
        )

    @where("changes_several")
    def test_several_appends_of_which_one_is_refused_are_not_sent(self) -> None:
        self.append("a")
        batches: list[Batch] = [(self.at("new"), users("b"), None), (self.at(), [user("a", "other")], None)]
        self.assert_refused_and_not_sent(lambda: self.messages.append_many(batches))

    def test_a_change_is_sent_when_readers_see_it(self) -> None:
        """A receiver that reads from another thread sees the change: it is committed, and no lock is held."""
        seen: list[tuple[Header | None, Header | None]] = []

        def look(event: Changed, **_signal: Any) -> None:
            (found,) = at_once(lambda: self.messages.peek(self.at(event.key)))
            seen.append((event.header, found))

        changed.connect(look, sender=self.adapter.source)
        try:
            self.append("a")
            self.append("b")
            self.sessions.update(self.at(), {"title": "t"})
            self.messages.clear(self.at())
            self.sessions.delete(self.at())
        finally:
            changed.disconnect(look, sender=self.adapter.source)
        assert [found and found.version for _sent, found in seen] == [1, 2, 3, 4, None]
        assert all(sent == found for sent, found in seen)

    def test_a_receiver_that_raises_breaks_nothing(self) -> None:
        def fail(**_signal: Any) -> None:
            raise LookupError

        changed.connect(fail, sender=self.adapter.source)
        try:
            with self.listening() as events:
                assert self.append("a").last_seq == 1
        finally:
            changed.disconnect(fail, sender=self.adapter.source)
        assert len(events) == 1
        assert self.ids() == ["a"]

    def test_each_change_of_several_writers_is_sent_once(self) -> None:
        def write(writer: int) -> list[Header]:
            return [self.append(f"{writer}.{call}") for call in range(CALLS)]

        with self.listening() as events:
            written = at_once(*(partial(write, writer) for writer in range(WRITERS)))
        headers = [header for headers in written for header in headers]
        assert sorted(event.header.version for event in events if event.header) == [*range(1, WRITERS * CALLS + 1)]
        assert {event.header for event in events} == set(headers)
        assert [event.made for event in events].count(True) == 1


def _with(event: Changed, **fields: Any) -> Changed:
    return msgspec.structs.replace(event, **fields)
