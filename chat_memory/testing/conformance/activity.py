"""Owns the clauses of ``active_at``: its value, which changes set it, and the order and the paging of lists by it."""
# ruff: noqa: D102, S101  # clauses are tests, shipped: the name of one is its first sentence

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random

import pytest

from chat_memory.records import SessionRecord
from chat_memory.storage.listing import Cursor, Filter
from chat_memory.testing.conformance.kit import SENT_AT, Kit, user, where

YEARS_AGO = SENT_AT.replace(year=2020)
MANY = 40
MANY_APPENDS = 160


class ActivityClauses(Kit):
    """See ``SessionRecord.active_at`` and the order of ``SessionStore.find``."""

    def test_active_at_is_the_time_of_the_newest_message(self) -> None:
        for years in range(3):
            sent = YEARS_AGO.replace(year=2020 + years)
            self.messages.append(
                self.at(), [user(f"{years}a", created_at=YEARS_AGO), user(f"{years}b", created_at=sent)]
            )
            assert self._active_at() == sent

    def test_a_session_without_messages_is_active_when_it_is_made(self) -> None:
        assert self.sessions.open(self.at(), {"created_at": YEARS_AGO})[0].active_at == YEARS_AGO
        made, _is_new = self.sessions.open(self.at("now"))
        assert made.active_at == made.created_at

    def test_only_a_message_moves_active_at(self) -> None:
        self.send("a", SENT_AT)
        steps: list[Callable[[], object]] = [
            lambda: self.sessions.update(self.at(), {"title": "t"}),
            lambda: self.sessions.update(self.at(), {"pinned": True}),
            lambda: self.messages.append(self.at(), [user("a", created_at=SENT_AT + timedelta(days=1))]),
            lambda: self.messages.clear(self.at()),
            lambda: self.sessions.open(self.at(), {"title": "u"}),
        ]
        for step in steps:
            step()
            assert self._active_at() == SENT_AT

    def test_updated_at_is_the_time_of_the_last_change(self) -> None:
        self.send("a", YEARS_AGO)
        seen = [self._record().updated_at]
        for change in ({"title": "t"}, {"pinned": True}):
            self.sessions.update(self.at(), change)
            seen.append(self._record().updated_at)
        self.messages.clear(self.at())
        seen.append(self._record().updated_at)
        assert seen == sorted(seen)
        assert seen[0] > YEARS_AGO
        assert seen[0] < seen[-1]

    @where("branches")
    def test_a_message_on_a_branch_is_one_of_the_conversation(self) -> None:
        self.send("a", YEARS_AGO)
        self.send("a", SENT_AT, "other")
        self.branches.fork(self.at(), "draft")
        assert self._active_at() == YEARS_AGO
        later = SENT_AT + timedelta(minutes=1)
        self.messages.append(self.at(branch="draft"), [user("b", created_at=later)])
        assert self._active_at() == later
        self.branches.switch(self.at(), "draft")
        assert self._active_at() == later
        assert [record.key for record in self.sessions.find(self.workspace)] == ["k", "other"]

    @pytest.mark.parametrize("spread", [1, 3, 20])
    def test_pages_neither_skip_nor_repeat(self, spread: int) -> None:
        """Many conversations active within seconds or minutes, any page size, and any ``since`` and ``until``."""
        draw = Random(spread)  # noqa: S311  # which messages a test sends is no secret
        newest = self._send_many(draw, spread)
        ordered = sorted(newest, key=lambda key: (newest[key].active_at, newest[key].id), reverse=True)
        for size in (1, 3, MANY // 2, MANY, MANY + 1):
            assert self._paged(Filter(), size) == ordered
            assert self._paged_back(newest[ordered[-1]], size) == ordered
        for _look in range(8):
            since, until = sorted(newest[key].active_at for key in draw.sample(ordered, 2))
            within = [key for key in ordered if since <= newest[key].active_at < until]
            assert self._paged(Filter(since=since, until=until), 4) == within

    def _send_many(self, draw: Random, spread: int) -> dict[str, SessionRecord]:
        """Append messages to several conversations, some with equal or earlier times, and return the records."""
        moment = SENT_AT
        keys = [f"k{number}" for number in range(MANY)]
        for number in range(MANY_APPENDS):
            moment += timedelta(milliseconds=spread * draw.choice((0, 0, 1, 40, 900, 900, -700)))
            self.send(f"{number}", moment, keys[number] if number < MANY else draw.choice(keys))
        records = (self.sessions.get(self.at(key)) for key in keys)
        return {record.key: record for record in records if record}

    def _paged(self, wanted: Filter, size: int) -> list[str]:
        """The keys on all pages of a list, read with ``before``."""
        records: list[SessionRecord] = []
        while page := self.sessions.find(
            self.workspace, wanted, before=Cursor.of(records[-1]) if records else None, size=size
        ):
            records += page
        return [record.key for record in records]

    def _paged_back(self, last: SessionRecord, size: int) -> list[str]:
        """The keys on all pages of a list, read with ``after`` from its last record to its first."""
        records = [last]
        while page := self.sessions.find(self.workspace, after=Cursor.of(records[0]), size=size):
            records = [*page, *records]
        return [record.key for record in records]

    def _record(self) -> SessionRecord:
        record = self.sessions.get(self.at())
        assert record is not None
        return record

    def _active_at(self) -> datetime:
        return self._record().active_at
