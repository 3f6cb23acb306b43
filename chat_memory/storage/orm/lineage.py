"""Owns the lineage of a branch: the session rows whose messages it shows, its own and its ancestors'; it only reads."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from operator import or_
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connections
from django.db.models import Q, QuerySet

from chat_memory.choices import Role
from chat_memory.models import Message, Session
from chat_memory.rules.calls import is_results_alone
from chat_memory.storage.mapping import content_of
from chat_memory.storage.orm.cursor import as_uuid, fetch, uuid_value
from chat_memory.storage.orm.statements import branch


class Stretch(NamedTuple):
    """A session row in a lineage, and the range of its positions that belong to the branch: (``low``, ``high``]."""

    session_id: UUID
    low: int
    high: int


class Lineage(NamedTuple):
    """A branch and its stretches, its own first, then each parent's; the ranges of positions are adjacent."""

    row: Session
    stretches: list[Stretch]

    @property
    def where(self) -> dict[str, Any]:
        """A filter for rows of the lineage's sessions; they may be outside the stretches, so check with ``shows``."""
        ids = [stretch.session_id for stretch in self.stretches]
        return {"workspace_id": self.row.workspace_id, "session_id__in": ids}

    def shows(self, session_id: UUID, seq: int) -> bool:
        """Whether the message of this session row at this position is visible on the branch."""
        within = any(each.session_id == session_id and each.low < seq <= each.high for each in self.stretches)
        return within and seq > self.row.base_seq

    def reaches(self, session_id: UUID, seq: int) -> bool:
        """Whether the branch has all messages of this session row up to this position, hidden ones included."""
        return any(each.session_id == session_id and seq <= each.high for each in self.stretches)

    def owner(self, seq: int) -> UUID:
        """The id of the session row that has the message at a position; the root's for position 0."""
        return next((each.session_id for each in self.stretches if each.low < seq), self.stretches[-1].session_id)

    def message_at(self, seq: int) -> Message | None:
        """The message at a position; None where the position is not visible."""
        if not self.row.base_seq < seq <= self.row.last_seq:
            return None
        return self.stored_at(seq).first()

    def stored_at(self, seq: int) -> QuerySet[Message]:
        """The message that a row of the lineage has at a position, visible or not."""
        return self.stored([seq])

    def stored(self, positions: Iterable[int]) -> QuerySet[Message]:
        """The messages that rows of the lineage have at positions, visible or not."""
        by_row: dict[UUID, list[int]] = {}
        for seq in positions:
            by_row.setdefault(self.owner(seq), []).append(seq)
        places = reduce(or_, (Q(session_id=row, seq__in=own) for row, own in by_row.items()))
        return Message.objects.using(self.row._state.db).filter(places, workspace_id=self.row.workspace_id)

    def message(self, place: int | str) -> Message | None:
        """The stored message at a visible position, or the visible message with an id."""
        if isinstance(place, int):
            return self.message_at(place)
        stored = Message.objects.using(self.row._state.db).filter(client_id=place, **self.where)
        return next((each for each in stored if self.shows(each.session_id, each.seq)), None)

    def turn_at(self, seq: int) -> int:
        """The number of turns begun up to a position; the message at the position itself may be hidden.

        It follows from the first later message that is not ``crossed``, that is, not stored after a later question.
        """
        if seq >= self.row.last_seq:
            return self.row.last_turn
        rows = Message.objects.using(self.row._state.db).filter(workspace_id=self.row.workspace_id, crossed=False)
        for each in reversed(self.stretches):
            later = rows.filter(session_id=each.session_id, seq__gt=max(each.low, seq), seq__lte=each.high)
            following = later.order_by("seq").first()
            if following is not None:
                content = content_of(following.content, following.parts)
                return following.turn - (following.role == Role.USER.value and not is_results_alone(content))
        return self.row.last_turn


def lineage(row: Session) -> Lineage:
    """The lineage of a session row; it takes no query for ``main``, and one for a branch of any depth."""
    own = Stretch(row.pk, row.fork_seq or 0, row.last_seq)
    if row.parent_id is None:
        return Lineage(row, [own])
    connection = connections[row._state.db or "default"]
    params = {"session_id": uuid_value(connection, row.parent_id), "workspace_id": row.workspace_id, "high": own.low}
    rows = fetch(connection, branch.ancestors(), params)
    found = [Stretch(as_uuid(session_id), low, high) for session_id, low, high in rows]
    return Lineage(row, [own, *sorted(found, key=lambda stretch: -stretch.high)])


def branches_sharing(row_id: UUID, seq: int, root: Session) -> list[UUID]:
    """The ids of the session row that has a position, and of all branches that share the position, by one query."""
    connection = connections[root._state.db or "default"]
    params = {"session_id": uuid_value(connection, row_id), "workspace_id": root.workspace_id, "seq": seq}
    return [as_uuid(found) for (found,) in fetch(connection, branch.sharing(), params)]
