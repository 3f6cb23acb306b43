"""Owns lists, counts and usage totals of conversations, each read by one statement; it must not write."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from operator import itemgetter
from typing import Any
from uuid import UUID

import msgspec
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from chat_memory.fields import FLAGS, MOMENTS
from chat_memory.models import Session
from chat_memory.records import SessionRecord, as_utc
from chat_memory.storage.listing import COST, Cursor, Filter, Usage, pattern
from chat_memory.storage.orm.cursor import fetch, fetch_until_full, user_value, uuid_value
from chat_memory.storage.orm.rows import grain
from chat_memory.storage.orm.statements import listing as statements

LEAST_MARGIN = timedelta(seconds=15)
"""The smallest margin: rows written under the default ACTIVITY_GRAIN must be found after it was set to less."""
_LONG = itemgetter(*map(statements.COLUMNS.index, statements.JSON))


def find(
    alias: str,
    workspace: str,
    wanted: Filter,
    *,
    before: Cursor | None = None,
    after: Cursor | None = None,
    size: int = 50,
    most: int | None = None,
) -> tuple[list[SessionRecord], bool]:
    """See ``SessionStore.find_within``; the counters of a conversation are those of its current branch."""
    connection = connections[alias]
    given = conditions(connection, wanted) | _place(connection, "before", before) | _place(connection, "after", after)
    backwards = after is not None
    edge, page, end = statements.find(connection.vendor, tuple(given), backwards=backwards, capped=most is not None)
    statement = f"{edge}{max(0, size - 1):d}{page}{size:d}{end}" if edge else f"{page}{size:d}"
    rows, is_cut = fetch_within(connection, statement, with_workspace(connection, given, workspace), most)
    found = records(rows, workspace, connection.timezone or UTC)
    return (found[::-1] if backwards else found), is_cut


def count(alias: str, workspace: str, wanted: Filter) -> int:
    """See ``SessionStore.count``."""
    connection = connections[alias]
    given = conditions(connection, wanted)
    statement = statements.count(connection.vendor, tuple(given))
    number: int = fetch(connection, statement, with_workspace(connection, given, workspace))[0][0]
    return number


def usage(alias: str, workspace: str, wanted: Filter) -> Usage:
    """See ``SessionStore.usage``; messages hidden by ``clear()`` count until cleanup removes them."""
    connection = connections[alias]
    given = conditions(connection, wanted)
    params = with_workspace(connection, given, workspace) | {"names_cost": f'%"{COST}"%'}
    *numbers, cost = fetch(connection, statements.usage(connection.vendor, tuple(given)), params)[0]
    sessions, messages, input_tokens, output_tokens = (int(number or 0) for number in numbers)
    # SQLite adds binary floats; 15 significant digits hide their rounding errors.
    exact = cost if isinstance(cost, Decimal) else Decimal(f"{cost or 0:.15g}")
    return Usage(sessions, messages, input_tokens, output_tokens, exact)


def fetch_within(
    connection: BaseDatabaseWrapper, statement: str, params: dict[str, Any], most: int | None
) -> tuple[list[tuple[Any, ...]], bool]:
    """The rows of a list, as many as fit into ``most`` bytes if that is given, and whether there were more."""
    if most is None:
        return fetch(connection, statement, params), False
    if connection.vendor != "postgresql":
        return fetch_until_full(connection, statement, params | {"most": most}, _LONG)
    rows = fetch(connection, statement, params | {"most": most})
    return [row[:-1] for row in rows], bool(rows) and rows[0][-1] > len(rows)


def conditions(connection: BaseDatabaseWrapper, wanted: Filter) -> dict[str, Any]:
    """The conditions that are set, by name, with values converted for the database."""
    given = {name: value for name, value in msgspec.structs.asdict(wanted).items() if value not in (None, ())}
    for name in {"since", "until"} & given.keys():
        given[name] = connection.ops.adapt_datetimefield_value(given[name])
    if given.get("user_key") == "":
        given["nobody"] = given.pop("user_key")
    if "user_id" in given:
        given["user_id"] = user_value(connection, given["user_id"])
    if "tags" in given:
        given["tags"] = msgspec.json.encode(given["tags"]).decode()
    if "title" in given:
        given["title"] = _like(given["title"]) if connection.vendor == "postgresql" else pattern(given["title"])
    return given


def _place(connection: BaseDatabaseWrapper, name: str, cursor: Cursor | None) -> dict[str, Any]:
    if cursor is None:
        return {}
    moment = connection.ops.adapt_datetimefield_value(cursor.active_at)
    return {name: moment, f"{name}_id": uuid_value(connection, cursor.id)}


def with_workspace(connection: BaseDatabaseWrapper, given: dict[str, Any], workspace: str) -> dict[str, Any]:
    """The parameters of a statement with these conditions."""
    margin = {"margin": max(grain(), LEAST_MARGIN)} if connection.vendor == "postgresql" else {}
    return given | margin | {"workspace": workspace}


def _like(text: str) -> str:
    escaped = re.sub(r"([\\%_])", r"\\\1", text)
    return f"%{escaped}%"


def records(rows: Sequence[tuple[Any, ...]], workspace: str, zone: tzinfo) -> list[SessionRecord]:
    """The records of the rows of ``find``; ``zone`` is the time zone of naive times, which SQLite returns."""
    if not rows:
        return []
    *stored, currents = zip(*rows, strict=True)
    columns: dict[str, Sequence[Any]] = dict(zip(statements.COLUMNS, stored, strict=True))
    for name in statements.JSON:
        columns[name] = [msgspec.json.decode(text) for text in columns[name]]
    for name in MOMENTS:
        columns[name] = [moment and moment_of(moment, zone) for moment in columns[name]]
    for name in FLAGS:
        columns[name] = list(map(bool, columns[name]))
    if isinstance(columns["id"][0], str):
        columns["id"] = list(map(UUID, columns["id"]))
        owner: Any = Session._meta.get_field("user")
        columns["user_id"] = list(map(owner.target_field.to_python, columns["user_id"]))
    made = (SessionRecord(first, workspace, *rest) for first, *rest in zip(*columns.values(), strict=True))
    return [
        record if current is None else _on_branch(record, current)
        for record, current in zip(made, currents, strict=True)
    ]


def _on_branch(record: SessionRecord, current: str) -> SessionRecord:
    """The record with the name and counters of the current branch, which ``current`` contains as text."""
    *counters, branch = current.split(" ", len(statements.OF_CURRENT))
    counted = dict(zip(statements.OF_CURRENT, map(int, counters), strict=True))
    return msgspec.structs.replace(record, branch=branch, **counted)


def moment_of(stored: datetime | str, zone: tzinfo) -> Any:
    """A time from a hand-written statement, in UTC; ``zone`` is the time zone of a naive one."""
    moment = datetime.fromisoformat(stored) if isinstance(stored, str) else stored
    if moment.tzinfo is UTC:
        return moment
    return as_utc(moment if moment.tzinfo else moment.replace(tzinfo=zone))
