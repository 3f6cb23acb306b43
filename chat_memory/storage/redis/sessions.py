"""Owns the Redis part for sessions."""

from __future__ import annotations

from collections.abc import Mapping
from heapq import nlargest, nsmallest
from typing import Any, NamedTuple

import msgspec

from chat_memory.exceptions import SessionNotFound, VersionConflict
from chat_memory.records import Address, SessionRecord
from chat_memory.storage.changed import Kind
from chat_memory.storage.contract import NO_FIELDS, SessionStore
from chat_memory.storage.listing import NO_FILTER, Cursor, Filter, Usage, every
from chat_memory.storage.redis.codec import ScriptHeader, field_values, is_linked, read_record
from chat_memory.storage.redis.lists import Member, Place, Stretch
from chat_memory.storage.redis.messages import RedisMessages
from chat_memory.storage.redis.store import RedisStore


class RedisSessions(SessionStore):
    """See ``SessionStore``."""

    def __init__(self, store: RedisStore, messages: RedisMessages) -> None:
        self._store = store
        self._messages = messages

    def get(self, at: Address) -> SessionRecord | None:
        """See ``SessionStore.get``; the script reads every visible message in order to count them."""
        owned = self._owned(at)
        return owned.record if owned else None

    def find(
        self,
        workspace: str,
        wanted: Filter = NO_FILTER,
        *,
        before: Cursor | None = None,
        after: Cursor | None = None,
        size: int = 50,
    ) -> list[SessionRecord]:
        """See ``SessionStore.find``; list entries that are out of date are corrected on the way.

        A filter by title or tag reads every session between ``since`` and ``until``.
        """
        if size < 1:
            return []
        stretch = Stretch.of(wanted, before, after)
        if wanted.key is not None:
            owned = self._owned(Address(workspace, wanted.key))
            return [owned.record] if owned and owned.is_wanted(wanted, stretch) else []
        records = self._walk(workspace, wanted, stretch, size)
        if stretch.upwards:
            return nsmallest(size, records, key=Place.of)[::-1]
        return nlargest(size, records, key=Place.of)

    def usage(self, workspace: str, wanted: Filter = NO_FILTER) -> Usage:
        """See ``SessionStore.usage``; reads every visible message; hidden messages do not count."""
        addresses = (Address(workspace, record.key) for record in every(self.find, workspace, wanted))
        return sum((Usage.of(self._messages.read(at).messages) for at in addresses), Usage())

    def open(self, at: Address, fields: Mapping[str, Any] = NO_FIELDS) -> tuple[SessionRecord, bool]:
        """See ``SessionStore.open``."""
        head, values = [*self._store.write_values(), at.user_key.encode()], field_values(_kept(fields))
        answer = self._store.run("open", at, *head, "", "", *values)
        if answer[0] == b"absent":
            answer = self._store.run("open", at, *head, *self._store.new_session_values(at), *values)
        made, header, record = answer
        kind = Kind.OPENED if made else None
        self._store.finish(at, ScriptHeader.of(header), kind, made=True, fields=tuple(fields))
        return read_record(at, record), bool(made)

    def update(self, at: Address, fields: Mapping[str, Any], *, if_version: int | None = None) -> SessionRecord:
        """See ``SessionStore.update``."""
        expected = "" if if_version is None else if_version
        answer = self._store.run("update", at, *self._store.write_values(), expected, *field_values(fields))
        if answer[0] == b"absent":
            raise SessionNotFound(at.key, at.workspace)
        if answer[0] == b"version":
            raise VersionConflict(if_version or 0, answer[1])
        _made, header, record = answer
        self._store.finish(at, ScriptHeader.of(header), Kind.UPDATED, fields=tuple(fields))
        return read_record(at, record)

    def delete(self, at: Address) -> bool:
        """See ``SessionStore.delete``."""
        answer = self._store.run("delete", at)
        if answer:
            self._store.finish(at, ScriptHeader.of(answer[0]), Kind.DELETED, header=None)
        return bool(answer)

    def _walk(self, workspace: str, wanted: Filter, stretch: Stretch, size: int) -> list[SessionRecord]:
        """Sessions of a part of a list that meet the filter, read until no later one can be in the first ``size``."""
        records: dict[str, SessionRecord] = {}
        nearest = nsmallest if stretch.upwards else nlargest
        user_key = _user_key(wanted)
        for member in self._store.lists.members(workspace, user_key, stretch):
            if len(records) >= size:
                places = map(Place.of, records.values())
                if stretch.is_behind(member.place, nearest(size, places)[-1]):
                    break
            owned = self._member(workspace, user_key, member)
            if owned and owned.is_wanted(wanted, stretch):
                records[member.place.id] = owned.record
        return [*records.values()]

    def _member(self, workspace: str, user_key: str, member: Member) -> _Owned | None:
        """The session of a list entry, None where it is gone; an entry that is out of date is corrected."""
        owned = self._owned(Address(workspace, member.key))
        if owned is None or str(owned.record.id) != member.place.id:
            self._store.lists.remove(workspace, member.key, member.place.id, user_key)
            return None
        if Place.of(owned.record) != member.place:
            self._store.lists.put_record(owned.record)
        return owned

    def _owned(self, at: Address) -> _Owned | None:
        answer = self._store.run("get", at, listed=False)
        return _Owned(read_record(at, answer), is_linked(answer)) if answer else None


def _kept(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields to store; no session here gives up its key to another user, since a new key may be in another slot."""
    return {name: value for name, value in fields.items() if name != "key_from_client"}


class _Owned(NamedTuple):
    """A session, and whether its owner is a user object: then ``user_key`` is the primary key as text."""

    record: SessionRecord
    is_linked: bool

    def is_wanted(self, wanted: Filter, stretch: Stretch) -> bool:
        """Whether the session meets a filter, and is in the part of the list that is read."""
        if wanted.user_id is not None and not (self.is_linked and self.record.user_key == str(wanted.user_id)):
            return False
        if wanted.outside and self.is_linked:
            return False
        is_met = msgspec.structs.replace(wanted, user_id=None).takes(self.record)
        return is_met and stretch.is_behind(Place.of(self.record), stretch.start)


def _user_key(wanted: Filter) -> str:
    """The user key whose list has all sessions that meet a filter; "": the list of the workspace."""
    return wanted.user_key or ("" if wanted.user_id is None else str(wanted.user_id))
