"""Owns which rows hold the messages a branch shows: its own and, up to the fork, its ancestors'; it must not write."""

from __future__ import annotations

from typing import Any, NamedTuple
from uuid import UUID

from django.db import connections

from chat_memory.choices import Role
from chat_memory.models import Message, Session
from chat_memory.storage.orm.cursor import as_uuid, fetch, uuid_value
from chat_memory.storage.orm.statements import branch


class Stretch(NamedTuple):
    """A row of a lineage and the positions of its messages that the branch shows: after ``low``, up to ``high``."""

    session_id: UUID
    low: int
    high: int


class Lineage(NamedTuple):
    """A branch and its stretches, its own first: positions adjoin, since a fork hangs on the row it left."""

    row: Session
    stretches: list[Stretch]

    @property
    def where(self) -> dict[str, Any]:
        """The condition for whatever belongs to one of the rows; ``shows`` then tells what is within its stretch."""
        ids = [stretch.session_id for stretch in self.stretches]
        return {"workspace_id": self.row.workspace_id, "session_id__in": ids}

    def shows(self, session_id: UUID, seq: int) -> bool:
        """Whether readers of the branch see that position of that row."""
        within = any(each.session_id == session_id and each.low < seq <= each.high for each in self.stretches)
        return within and seq > self.row.base_seq

    def reaches(self, session_id: UUID, seq: int) -> bool:
        """Whether all up to that position of that row is within the branch."""
        return any(each.session_id == session_id and seq <= each.high for each in self.stretches)

    def owner(self, seq: int) -> UUID:
        """The row that holds a position; 0 is the root's."""
        return next((each.session_id for each in self.stretches if each.low < seq), self.stretches[-1].session_id)

    def message_at(self, seq: int) -> Message | None:
        """The stored message at a visible position."""
        if not self.row.base_seq < seq <= self.row.last_seq:
            return None
        stored = Message.objects.using(self.row._state.db).filter(workspace_id=self.row.workspace_id, seq=seq)
        return stored.filter(session_id=self.owner(seq)).first()

    def message(self, place: int | str) -> Message | None:
        """The stored message at a visible position, or the visible one of an id."""
        if isinstance(place, int):
            return self.message_at(place)
        stored = Message.objects.using(self.row._state.db).filter(client_id=place, **self.where)
        return next((each for each in stored if self.shows(each.session_id, each.seq)), None)

    def turn_at(self, seq: int) -> int:
        """How many turns have begun up to a position whose own message may be hidden."""
        following = self.message_at(seq + 1)
        if following is None:
            return self.row.last_turn
        return following.turn - (following.role == Role.USER.value)


def lineage(row: Session) -> Lineage:
    """The lineage of a row: no query for a root, one for a branch however deep it is."""
    own = Stretch(row.pk, row.fork_seq or 0, row.last_seq)
    if row.parent_id is None:
        return Lineage(row, [own])
    connection = connections[row._state.db or "default"]
    params = {"session_id": uuid_value(connection, row.parent_id), "workspace_id": row.workspace_id, "high": own.low}
    rows = fetch(connection, branch.ancestors(), params)
    found = [Stretch(as_uuid(session_id), low, high) for session_id, low, high in rows]
    return Lineage(row, [own, *sorted(found, key=lambda stretch: -stretch.high)])


def branches_sharing(row_id: UUID, seq: int, root: Session) -> list[UUID]:
    """The ids of the row that holds a position and of every branch that shows it: one query however many there are."""
    connection = connections[root._state.db or "default"]
    params = {"session_id": uuid_value(connection, row_id), "workspace_id": root.workspace_id, "seq": seq}
    return [as_uuid(found) for (found,) in fetch(connection, branch.sharing(), params)]
