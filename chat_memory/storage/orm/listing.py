"""Owns the listing of conversations and what they add up to, each one statement; it must not change anything."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from functools import cache
from typing import Any
from uuid import UUID

import msgspec
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from chat_memory.models import Session
from chat_memory.records import SessionRecord, as_utc
from chat_memory.storage.listing import COST, Cursor, Filter, Usage, pattern
from chat_memory.storage.orm.cursor import fetch, uuid_value
from chat_memory.storage.orm.statements import MESSAGE, SESSION, WORKSPACE

COLUMNS = tuple(name for name in SessionRecord.__struct_fields__ if name != "workspace")
COUNTERS = ("message_count", "version", "last_seq", "base_seq", "last_turn", "vtoken")
JSON = ("tags", "metadata")
MOMENTS = ("created_at", "updated_at", "archived_at", "deleted_at", "expires_at")
FAMILY = f"{SESSION} b ON b.workspace_id = s.workspace_id AND b.key = s.key AND b.deleted_at IS NULL"
HELD = f"{MESSAGE} m ON m.session_id = b.id AND m.workspace_id = b.workspace_id"
ROOTS = (
    f"s.workspace_id = (SELECT w.id FROM {WORKSPACE} w WHERE w.slug = %(workspace)b)",
    "s.parent_id IS NULL",
    "s.deleted_at IS NULL",
)
CONDITIONS = {
    "user_key": "s.user_key = %(user_key)b",
    "key": "s.key = %(key)b",
    "since": "s.updated_at >= %(since)b",
    "until": "s.updated_at < %(until)b",
    "archived": "(s.archived_at IS NOT NULL) = %(archived)b",
    "pinned": "s.pinned = %(pinned)b",
    "before": "(s.updated_at, s.id) < (%(before)b, %(before_id)b)",
}
OF_VENDOR = {
    "postgresql": {
        "tags": "s.tags @> CAST(CAST(%(tags)b AS text) AS jsonb)",
        "title": "s.title ILIKE %(title)b",
        "cost": (
            f"CASE WHEN jsonb_typeof(CAST(m.metadata AS jsonb) -> '{COST}') = 'number' "
            f"THEN CAST(CAST(m.metadata AS jsonb) ->> '{COST}' AS numeric) END"
        ),
    },
    "sqlite": {
        "tags": (
            "NOT EXISTS (SELECT 1 FROM json_each(%(tags)b) AS wanted "
            "WHERE wanted.value NOT IN (SELECT value FROM json_each(s.tags)))"
        ),
        "title": "s.title REGEXP %(title)b",  # LIKE knows upper and lower case of ASCII alone
        "cost": (
            f"CASE WHEN json_type(m.metadata, '$.{COST}') IN ('integer', 'real') "
            f"THEN json_extract(m.metadata, '$.{COST}') END"
        ),
    },
}


def find(alias: str, workspace: str, wanted: Filter, before: Cursor | None, size: int) -> list[SessionRecord]:
    """The contract is ``SessionStore.find``; the counters of a conversation are those of the branch that speaks."""
    connection = connections[alias]
    given = _given(connection, wanted) | ({} if before is None else _place(connection, before))
    statement = f"{_find(connection.vendor, tuple(given))}{size:d}"
    rows = fetch(connection, statement, given | {"workspace": workspace})
    return _records(rows, workspace, connection.timezone or UTC)


def count(alias: str, workspace: str, wanted: Filter) -> int:
    """The contract is ``SessionStore.count``."""
    connection = connections[alias]
    given = _given(connection, wanted)
    statement = f"SELECT COUNT(*) FROM {SESSION} s WHERE {_where(connection.vendor, tuple(given))}"
    number: int = fetch(connection, statement, given | {"workspace": workspace})[0][0]
    return number


def usage(alias: str, workspace: str, wanted: Filter) -> Usage:
    """The contract is ``Adapter.usage``; what ``clear()`` has hidden counts until cleanup takes it."""
    connection = connections[alias]
    given = _given(connection, wanted)
    params = given | {"workspace": workspace, "names_cost": f'%"{COST}"%'}
    *numbers, cost = fetch(connection, _usage(connection.vendor, tuple(given)), params)[0]
    sessions, messages, read, said = (int(number or 0) for number in numbers)
    # SQLite adds fractions as binary ones: more digits than these would show that.
    exact = cost if isinstance(cost, Decimal) else Decimal(f"{cost or 0:.15g}")
    return Usage(sessions, messages, read, said, exact)


@cache
def _find(vendor: str, given: tuple[str, ...]) -> str:
    """The page of a listing, but for its size, which the planner must see: else it plans anew with every call.

    The counters of a branch that speaks come as one text, so that nothing is joined where there is none.
    """
    columns = ", ".join(f"CAST(s.{name} AS text)" if name in JSON else f"s.{name}" for name in COLUMNS)
    counters = " || ' ' || ".join(f"b.{name}" for name in (*COUNTERS, "branch"))
    speaker = f"SELECT {counters} FROM {SESSION} b WHERE b.id = s.head_id AND b.workspace_id = s.workspace_id"
    return f"""
SELECT {columns}, CASE WHEN s.head_id IS NOT NULL THEN ({speaker} AND b.deleted_at IS NULL) END
FROM {SESSION} s WHERE {_where(vendor, given)} ORDER BY s.updated_at DESC, s.id DESC LIMIT """


@cache
def _usage(vendor: str, given: tuple[str, ...]) -> str:
    said = "m.role = 'assistant'"
    return f"""
WITH held AS (
  SELECT b.id, b.parent_id, COUNT(m.id) AS messages, SUM(CASE WHEN {said} THEN 0 ELSE m.tokens END) AS input,
    SUM(CASE WHEN {said} THEN m.tokens END) AS output,
    SUM(CASE WHEN m.metadata LIKE %(names_cost)b THEN {OF_VENDOR[vendor]["cost"]} END) AS cost
  FROM {SESSION} s JOIN {FAMILY} LEFT JOIN {HELD} WHERE {_where(vendor, given)} GROUP BY b.id, b.parent_id
)
SELECT SUM(CASE WHEN parent_id IS NULL THEN 1 END), SUM(messages), SUM(input), SUM(output), SUM(cost) FROM held"""


def _where(vendor: str, given: Sequence[str]) -> str:
    known = CONDITIONS | OF_VENDOR[vendor]
    return " AND ".join((*ROOTS, *(known[name] for name in given if name in known)))


def _given(connection: BaseDatabaseWrapper, wanted: Filter) -> dict[str, Any]:
    """The conditions that are given, by name, as the database takes their values."""
    given = {name: value for name, value in msgspec.structs.asdict(wanted).items() if value not in (None, ())}
    for name in {"since", "until"} & given.keys():
        given[name] = connection.ops.adapt_datetimefield_value(given[name])
    if "tags" in given:
        given["tags"] = msgspec.json.encode(given["tags"]).decode()
    if "title" in given:
        given["title"] = _like(given["title"]) if connection.vendor == "postgresql" else pattern(given["title"])
    return given


def _place(connection: BaseDatabaseWrapper, before: Cursor) -> dict[str, Any]:
    moment = connection.ops.adapt_datetimefield_value(before.updated_at)
    return {"before": moment, "before_id": uuid_value(connection, before.id)}


def _like(text: str) -> str:
    escaped = re.sub(r"([\\%_])", r"\\\1", text)
    return f"%{escaped}%"


def _records(rows: Sequence[tuple[Any, ...]], workspace: str, zone: tzinfo) -> list[SessionRecord]:
    """The records of rows as ``_find`` gives them; ``zone`` is what times that do not say are in, as SQLite's."""
    if not rows:
        return []
    *stored, speakers = zip(*rows, strict=True)
    columns: dict[str, Sequence[Any]] = dict(zip(COLUMNS, stored, strict=True))
    for name in JSON:
        columns[name] = [msgspec.json.decode(text) for text in columns[name]]
    for name in MOMENTS:
        columns[name] = [moment and _moment(moment, zone) for moment in columns[name]]
    columns["pinned"] = list(map(bool, columns["pinned"]))
    if isinstance(columns["id"][0], str):
        columns["id"] = list(map(UUID, columns["id"]))
        owner: Any = Session._meta.get_field("user")
        columns["user_id"] = list(map(owner.target_field.to_python, columns["user_id"]))
    records = (SessionRecord(first, workspace, *rest) for first, *rest in zip(*columns.values(), strict=True))
    return [
        record if speaker is None else _spoken_for(record, speaker)
        for record, speaker in zip(records, speakers, strict=True)
    ]


def _spoken_for(record: SessionRecord, speaker: str) -> SessionRecord:
    """A record with what is of the branch that speaks."""
    *counters, branch = speaker.split(" ", len(COUNTERS))
    counted = dict(zip(COUNTERS, map(int, counters), strict=True))
    return msgspec.structs.replace(record, branch=branch, **counted)


def _moment(stored: datetime | str, zone: tzinfo) -> datetime | None:
    moment = datetime.fromisoformat(stored) if isinstance(stored, str) else stored
    if moment.tzinfo is UTC:
        return moment
    return as_utc(moment if moment.tzinfo else moment.replace(tzinfo=zone))
