"""Owns the lists of sessions, one per workspace and one per user, ordered by ``active_at``."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from math import inf
from typing import NamedTuple

from chat_memory.records import SessionRecord
from chat_memory.storage.listing import Cursor, Filter, microseconds
from chat_memory.storage.redis.commands import Commands
from chat_memory.storage.redis.keys import Keys

_ID_LENGTH = 36
_PAGE = 100
_BEFORE_ALL_IDS, _BEHIND_ALL_IDS = "", "~"


class Place(NamedTuple):
    """A place in a list: score and id.

    A score is ``active_at`` in microseconds as a double, so times before 1685 and after 2255 are not exact.
    """

    score: float
    id: str

    @classmethod
    def of(cls, record: SessionRecord) -> Place:
        """The place of a session by its record."""
        return cls(_score(record.active_at), str(record.id))

    @classmethod
    def at(cls, cursor: Cursor) -> Place:
        """The place of a cursor."""
        return cls(_score(cursor.active_at), str(cursor.id))


class Member(NamedTuple):
    """An entry of a list: a session's place and key."""

    place: Place
    key: str


class Stretch(NamedTuple):
    """A part of a list, from ``start`` (excluded) to the score ``end``; ``upwards``: towards newer sessions."""

    start: Place
    end: float
    upwards: bool

    @classmethod
    def of(cls, wanted: Filter, before: Cursor | None, after: Cursor | None) -> Stretch:
        """The part that ``find`` reads: down from ``before`` or up from ``after``, between since and until."""
        latest = Place(inf if wanted.until is None else _score(wanted.until), _BEHIND_ALL_IDS)
        earliest = Place(-inf if wanted.since is None else _score(wanted.since), _BEFORE_ALL_IDS)
        if after is not None:
            return cls(max(Place.at(after), earliest), latest.score, upwards=True)
        return cls(latest if before is None else min(Place.at(before), latest), earliest.score, upwards=False)

    def is_behind(self, place: Place, other: Place) -> bool:
        """Whether a place comes after another one in the direction of reading."""
        return place > other if self.upwards else place < other


class SessionLists:
    """The lists of sessions; in a Cluster they are in other slots than the sessions, so they may be out of date.

    ``ttl_ms`` is the time to live of a session in milliseconds; None: sessions do not expire.
    """

    def __init__(self, commands: Commands, keys: Keys, ttl_ms: int | None) -> None:
        self._commands = commands
        self._keys = keys
        self._ttl_ms = ttl_ms

    def put(self, workspace: str, key: str, session_id: str, user_key: str, *, active_at: int, updated_at: int) -> None:
        """Put a session at its place in every list that holds it; times are in microseconds since 1970."""
        expires: int | str = updated_at + self._ttl_ms * 1000 if self._ttl_ms else ""
        lists = self._keys.lists(workspace, user_key)
        self._commands.script("list", lists, _name(session_id, key), active_at, expires)

    def put_record(self, record: SessionRecord) -> None:
        """Put a session at the place that its record has."""
        times = {"active_at": microseconds(record.active_at), "updated_at": microseconds(record.updated_at)}
        self.put(record.workspace, record.key, str(record.id), record.user_key, **times)

    def remove(self, workspace: str, key: str, session_id: str, user_key: str) -> None:
        """Remove a session from its lists; a later session with the same key has another id, and so stays."""
        for list_key in self._keys.lists(workspace, user_key):
            self._commands.command("ZREM", list_key, _name(session_id, key))

    def members(self, workspace: str, user_key: str, stretch: Stretch) -> Iterator[Member]:
        """The entries of a part of a list, in the direction of reading; fetched in pages."""
        list_key, place = self._keys.sessions(workspace, user_key), stretch.start
        while page := self._commands.script("page", [list_key], *place, _PAGE, int(stretch.upwards)):
            for name, score in zip(page[::2], page[1::2], strict=True):
                place = Place(float(score), name[:_ID_LENGTH].decode())
                if stretch.is_behind(place, Place(stretch.end, place.id)):
                    return
                yield Member(place, name[_ID_LENGTH:].decode())


def _name(session_id: str, key: str) -> bytes:
    """The name of a session in a list: id and key, since a deleted and a later session may share the key."""
    return (session_id + key).encode()


def _score(moment: datetime) -> float:
    return float(microseconds(moment))
