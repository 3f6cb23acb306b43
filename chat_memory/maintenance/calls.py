"""Owns the search for tool calls that have no result in many sessions; it must not change anything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any
from uuid import UUID

import msgspec
from django.db.models import F, Q, QuerySet, TextField, Value

from chat_memory.choices import Role
from chat_memory.history.pairs import unanswered
from chat_memory.models import Message, Session
from chat_memory.records import UnansweredCall
from chat_memory.storage.mapping import READ_COLUMNS, to_messages
from chat_memory.storage.orm.lineage import lineage
from chat_memory.storage.tenancy import across_workspaces

AT_ONCE = 500
"""How many messages are fetched at a time; all those of one session are held at once."""
_SPEAKS_OF_CALLS = (
    Q(tool_calls__isnull=False)
    | Q(tool_call_id__isnull=False)
    | Q(parts__isnull=False)
    | Q(extra__isnull=False)
    | Q(role__in=[Role.TOOL.value, Role.FUNCTION.value])
)
_LEFT_OUT = Value(None, output_field=TextField())
_COLUMNS = tuple(_LEFT_OUT if name in ("content", "metadata") else name for name in READ_COLUMNS)
"""The columns that are read; texts and metadata are not, because they name no calls and may be long."""


class Notice(msgspec.Struct, frozen=True):
    """A tool call without a result; this is not an error, and a model is not shown such a call.

    Attributes:
        workspace: the slug.
        key: the session's key.
        branch: the name of the branch.
        seq: the position of the message that makes the call.
        id: the id of the call; "" where it has none.
        name: the name of the tool; "" where the call names none.
    """

    workspace: str
    key: str
    branch: str
    seq: int
    id: str
    name: str


def notices(alias: str, ids: Sequence[UUID]) -> list[Notice]:
    """The calls without a result in these session rows: one statement for all roots, and two for each branch."""
    found: list[Notice] = []
    with across_workspaces():
        sessions = {row.pk: row for row in Session.objects.using(alias).filter(pk__in=ids).select_related("workspace")}
        visible = Q(session__parent__isnull=True, seq__gt=F("session__base_seq"), seq__lte=F("session__last_seq"))
        roots = _rows(Message.objects.using(alias).filter(visible, session__in=ids).order_by("session_id", "seq"))
        for session_id, rows in groupby(roots.iterator(AT_ONCE), key=itemgetter(-1)):
            found += _of(sessions.get(session_id), list(rows))
        for session in sessions.values():
            if session.parent_id is not None:
                line = lineage(session)
                along = _rows(Message.objects.using(alias).filter(**line.where).order_by("seq"))
                found += _of(session, [row for row in along if line.shows(row[-1], row[0])])
    return found


def _rows(messages: QuerySet[Message]) -> QuerySet[Message, tuple[Any, ...]]:
    return messages.filter(_SPEAKS_OF_CALLS).values_list(*_COLUMNS, "session_id")


def _of(session: Session | None, rows: Sequence[tuple[Any, ...]]) -> Iterator[Notice]:
    if session is None:  # deleted meanwhile
        return
    calls: list[UnansweredCall] = unanswered(to_messages(rows))
    for call in calls:
        yield Notice(session.workspace.slug, session.key, session.branch, call.seq, call.id, call.name)
