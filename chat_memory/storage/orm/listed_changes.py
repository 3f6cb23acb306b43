"""Owns the changes of a workspace's list for syncing readers: changed conversations, and the ids of deleted ones.

A change is found by its indexed time, which the writer's clock sets before the commit, and which may lag by
ACTIVITY_GRAIN. So each look begins ``OVERLAP`` before the time of the previous look. Of the rows that PostgreSQL finds,
it takes only those whose transaction is at least as new as the oldest one that was open at the previous look, because
the previous look saw all older ones. SQLite has one writer at a time, so there a look takes everything that changed
since one minute before the previous look.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connections
from msgspec import structs

from chat_memory.choices import MAIN_BRANCH
from chat_memory.conf import settings
from chat_memory.models import Session, Tombstone
from chat_memory.records import SessionChanges, SessionRecord
from chat_memory.storage.listing import Filter, microseconds, moment_at
from chat_memory.storage.orm import listing
from chat_memory.storage.orm.cursor import as_uuid, fetch, uuid_value
from chat_memory.storage.orm.rows import grain
from chat_memory.storage.orm.statements import changes as statements
from chat_memory.storage.syncing import Listed, room_for

OVERLAP = timedelta(minutes=10)
"""How long a transaction that changes conversations may be open, minus the difference between writers' clocks."""
OVERLAP_OF_ONE_WRITER = timedelta(minutes=1)
"""The same on SQLite, where a writer waits for 20 seconds at most."""
_DAY = 24 * 3600 * 1_000_000


class _Mark(NamedTuple):
    """The state of the database as a look begins.

    Attributes:
        workspace_id: the id of the workspace; None: there is none.
        bound: the number of the oldest transaction that is open.
        place: identifies the list, the database and its history.
        now: the time, in microseconds.
    """

    workspace_id: int | None
    bound: int
    place: str
    now: int


def find(
    alias: str, workspace: str, wanted: Filter, listed: Listed | None, *, size: int, most: int | None = None
) -> SessionChanges:
    """See ``ChangeStore.sessions``."""
    mark = _mark(alias, workspace, wanted)
    begins_anew = listed is None or not _fits(alias, mark, listed)
    if listed is None or begins_anew:
        listed = Listed(mark.place, mark.now, mark.bound, low=0)
    elif listed.low is None:
        look = {"since": mark.now, "bound": mark.bound, "low": listed.since, "low_bound": listed.bound}
        listed = structs.replace(listed, after=0, number=0, **look)
    if mark.workspace_id is None:
        done = structs.replace(listed, low=None)
        return SessionChanges([], [], begins_anew, str(done), more=False)
    gone: list[UUID] = []  # deleted conversations come first
    if listed.number is not None:
        gone, listed = _gone(alias, mark.workspace_id, listed, size)
        if listed.number is not None:
            return SessionChanges([], gone, begins_anew, str(listed), more=True)
    records, listed, more = _changed(alias, workspace, wanted, listed, size=size - len(gone), most=most)
    if more:
        return SessionChanges(records, gone, begins_anew, str(listed), more=True)
    done = structs.replace(listed, low=None, low_bound=0, after=0, after_id=UUID(int=0))
    return SessionChanges(records, gone, begins_anew, str(done), more=False)


def _gone(alias: str, workspace_id: int, listed: Listed, size: int) -> tuple[list[UUID], Listed]:
    """A page of ids of deleted conversations, and the next cursor; after the last page it is at the changed ones."""
    given = _since(alias, listed, size) | {"workspace_id": workspace_id, "number": listed.number}
    rows = fetch(connections[alias], statements.gone(connections[alias].vendor), given)
    found = [as_uuid(row[0]) for row in rows]
    if len(rows) < size:
        return found, structs.replace(listed, after=0, number=None, after_id=UUID(int=0))
    return found, structs.replace(listed, after=_microseconds(alias, rows[-1][1]), number=rows[-1][2])


def _changed(
    alias: str, workspace: str, wanted: Filter, listed: Listed, *, size: int, most: int | None
) -> tuple[list[SessionRecord], Listed, bool]:
    """The conversations on a page, the next cursor, and whether there may be more."""
    connection = connections[alias]
    conditions = listing.conditions(connection, wanted)
    given = listing.with_workspace(connection, conditions, workspace) | _since(alias, listed, size)
    given["after_id"] = uuid_value(connection, listed.after_id)
    statement = statements.changed(connection.vendor, tuple(conditions), capped=most is not None)
    rows, is_cut = listing.fetch_within(connection, statement, given, most)
    records = listing.records([row[:-1] for row in rows], workspace, connection.timezone or UTC)
    if most is not None:
        kept = room_for(records, most)
        is_cut, records, rows = is_cut or kept < len(records), records[:kept], rows[:kept]
    newest = next((each for each in reversed(records) if each.branch == MAIN_BRANCH), None)
    if newest is not None:
        listed = structs.replace(listed, newest=newest.id, version=newest.version, vtoken=newest.vtoken)
    if rows:
        listed = structs.replace(listed, after=_microseconds(alias, rows[-1][-1]), after_id=records[-1].id)
    return records, listed, is_cut or len(records) == size


def _since(alias: str, listed: Listed, size: int) -> dict[str, Any]:
    """The parameters for where a look begins to search, and where its page begins."""
    connection = connections[alias]
    one_writer = connection.vendor != "postgresql"
    back = OVERLAP_OF_ONE_WRITER if one_writer else OVERLAP + max(grain(), listing.LEAST_MARGIN)
    low = moment_at(max(0, (listed.low or 0) - microseconds(moment_at(0) + back)))
    moments = {"low": low, "after": moment_at(listed.after)}
    given: dict[str, Any] = {name: connection.ops.adapt_datetimefield_value(each) for name, each in moments.items()}
    return given | {"size": size} | ({} if one_writer else {"bound": listed.low_bound})


def _microseconds(alias: str, stored: datetime | str) -> int:
    return microseconds(listing.moment_of(stored, connections[alias].timezone or UTC))


def _mark(alias: str, workspace: str, wanted: Filter) -> _Mark:
    connection = connections[alias]
    now = microseconds(datetime.now(UTC))
    found = fetch(connection, statements.MARK[connection.vendor], {"workspace": workspace})
    workspace_id, bound, history = found[0] if found else (None, 0, "")
    if wanted.workspace_id not in (None, workspace_id):
        workspace_id = None
    owner = wanted.user_id, wanted.user_key, wanted.outside
    place = sha256(repr((workspace, workspace_id, history, *map(str, owner))).encode()).hexdigest()[:16]
    return _Mark(workspace_id, bound, place, now)


def _fits(alias: str, mark: _Mark, listed: Listed) -> bool:
    """Whether a reader can be brought up to date: its cursor is of this list, and no change was forgotten or lost."""
    is_old = mark.now - listed.since > settings.tombstone_days * _DAY
    if listed.place != mark.place or is_old or listed.bound > mark.bound:
        return False
    if listed.newest is None:
        return True
    tenant = {"workspace_id": mark.workspace_id}
    rows = (
        Session.objects.using(alias).filter(pk=listed.newest, **tenant).values_list("version", "vtoken", "prev_vtoken")
    )
    stored = rows.first()
    if stored is None:
        return Tombstone.objects.using(alias).filter(session_id=listed.newest, **tenant).exists()
    version, vtoken, prev_vtoken = stored
    # The row has the tokens of its version and of the one before; for older versions there is nothing to compare.
    known = {version: vtoken, version - 1: prev_vtoken}
    return version >= listed.version and known.get(listed.version, listed.vtoken) == listed.vtoken
