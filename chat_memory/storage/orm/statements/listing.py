"""Owns the statements that list conversations and add up what they hold; both vendors.

Lists are by ``active_at``, exactly, and found through ``listed_at``, its indexed copy: it is never later than
``active_at``, and behind it by less than a margin. The row that is the n-th by ``listed_at`` bounds what the n last
active ones can have: their ``active_at`` is no earlier than its ``listed_at``, so their ``listed_at`` is no earlier
than that less the margin. On SQLite the copy does not lag, and there is no margin.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from chat_memory.fields import COUNTERS
from chat_memory.records import SessionRecord
from chat_memory.storage.listing import COST
from chat_memory.storage.orm.statements.tables import MESSAGE, SESSION, WORKSPACE

COLUMNS = tuple(name for name in SessionRecord.__struct_fields__ if name != "workspace")
JSON = ("tags", "metadata")
OF_CURRENT = tuple(name for name in COLUMNS if name in COUNTERS)
_FAMILY = f"{SESSION} b ON b.workspace_id = s.workspace_id AND b.key = s.key AND b.deleted_at IS NULL"
_HELD = f"{MESSAGE} m ON m.session_id = b.id AND m.workspace_id = b.workspace_id"
_ROOTS = (
    f"s.workspace_id = (SELECT w.id FROM {WORKSPACE} w WHERE w.slug = %(workspace)b)",
    "s.parent_id IS NULL",
    "s.deleted_at IS NULL",
)
# A moment comes as a query of its own, whose value no planner knows: one that does plans anew with every call.
_CONDITIONS = {
    "nobody": "s.user_key = ''",
    "user_key": "s.user_key = %(user_key)b AND NOT (s.user_key = '')",
    "user_id": "s.user_id = %(user_id)b",
    "key": "s.key = %(key)b",
    "archived": "(s.archived_at IS NOT NULL) = %(archived)b",
    "pinned": "s.pinned = %(pinned)b",
    "until": "s.active_at < (SELECT %(until)b) AND s.listed_at < (SELECT %(until)b)",
    "before": "(s.active_at, s.id) < ((SELECT %(before)b), %(before_id)b) AND s.listed_at <= (SELECT %(before)b)",
}
_OF_VENDOR = {
    "postgresql": {
        "since": "s.active_at >= (SELECT %(since)b) AND s.listed_at >= (SELECT %(since)b) - %(margin)b::interval",
        "after": (
            "(s.active_at, s.id) > ((SELECT %(after)b), %(after_id)b) "
            "AND s.listed_at >= (SELECT %(after)b) - %(margin)b::interval"
        ),
        "tags": "s.tags @> CAST(CAST(%(tags)b AS text) AS jsonb)",
        "title": "s.title ILIKE %(title)b",
        "cost": (
            f"CASE WHEN jsonb_typeof(CAST(m.metadata AS jsonb) -> '{COST}') = 'number' "
            f"THEN CAST(CAST(m.metadata AS jsonb) ->> '{COST}' AS numeric) END"
        ),
    },
    "sqlite": {
        "since": "s.listed_at >= (SELECT %(since)b)",
        "after": "(s.listed_at, s.id) > ((SELECT %(after)b), %(after_id)b)",
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


@cache
def find(vendor: str, given: tuple[str, ...], *, backwards: bool) -> tuple[str, str]:
    """A page of a list, in two texts: the size goes between them and behind, where the planner must see it.

    A place among the parameters would make the planner plan anew with every call. The counters of another current
    branch come as one text, so that nothing is joined where there is none.
    """
    columns = ", ".join(f"CAST(s.{name} AS text)" if name in JSON else f"s.{name}" for name in COLUMNS)
    counters = " || ' ' || ".join(f"b.{name}" for name in (*OF_CURRENT, "branch"))
    current = f"SELECT {counters} FROM {SESSION} b WHERE b.id = s.head_id AND b.workspace_id = s.workspace_id"
    where, order = _where(vendor, given), "ASC" if backwards else "DESC"
    page = f"""
SELECT {columns}, CASE WHEN s.head_id IS NOT NULL THEN ({current} AND b.deleted_at IS NULL) END
FROM {SESSION} s WHERE {where}"""
    if vendor == "sqlite":
        return "", f"{page} ORDER BY s.listed_at {order}, s.id {order} LIMIT "
    nth = (
        f"SELECT s.listed_at FROM {SESSION} s WHERE {where} ORDER BY s.listed_at {order}, s.id {order} LIMIT 1 OFFSET "
    )
    bound = (
        "s.listed_at <= COALESCE((SELECT listed_at FROM edge) + %(margin)b::interval, 'infinity')"
        if backwards
        else "s.listed_at >= COALESCE((SELECT listed_at FROM edge) - %(margin)b::interval, '-infinity')"
    )
    return f"WITH edge AS ({nth}", f"){page} AND {bound} ORDER BY s.active_at {order}, s.id {order} LIMIT "


@cache
def count(vendor: str, given: tuple[str, ...]) -> str:
    """How many conversations are wanted."""
    return f"SELECT COUNT(*) FROM {SESSION} s WHERE {_where(vendor, given)}"


@cache
def usage(vendor: str, given: tuple[str, ...]) -> str:
    """What the wanted conversations hold, each stored message once."""
    answer = "m.role = 'assistant'"
    return f"""
WITH held AS (
  SELECT b.id, b.parent_id, COUNT(m.id) AS messages, SUM(CASE WHEN {answer} THEN 0 ELSE m.tokens END) AS input,
    SUM(CASE WHEN {answer} THEN m.tokens END) AS output,
    SUM(CASE WHEN m.metadata LIKE %(names_cost)b THEN {_OF_VENDOR[vendor]["cost"]} END) AS cost
  FROM {SESSION} s JOIN {_FAMILY} LEFT JOIN {_HELD} WHERE {_where(vendor, given)} GROUP BY b.id, b.parent_id
)
SELECT SUM(CASE WHEN parent_id IS NULL THEN 1 END), SUM(messages), SUM(input), SUM(output), SUM(cost) FROM held"""


def _where(vendor: str, given: Sequence[str]) -> str:
    known = _CONDITIONS | _OF_VENDOR[vendor]
    return " AND ".join((*_ROOTS, *(known[name] for name in given if name in known)))
