"""Owns the statements that list conversations and compute their usage totals, for both database vendors.

Lists are in the exact order of ``active_at``. They are found by ``listed_at``, an indexed copy that is never later than
``active_at`` and lags behind it by less than ``margin``. Let e be the ``listed_at`` of the n-th row in the order of
``listed_at``. Then at least n rows have an ``active_at`` of e or later, so the n last active rows have one too, and
their ``listed_at`` is later than e minus ``margin``: only such rows are sorted. On SQLite the copy does not lag, and
there is no margin.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from chat_memory.fields import COUNTERS
from chat_memory.records import SessionRecord
from chat_memory.storage.listing import COST
from chat_memory.storage.orm.statements.tables import MESSAGE, NAMED_WORKSPACE, SESSION

COLUMNS = tuple(name for name in SessionRecord.__struct_fields__ if name != "workspace")
JSON = ("tags", "metadata")
OF_CURRENT = tuple(name for name in COLUMNS if name in COUNTERS)
_FAMILY = f"{SESSION} b ON b.workspace_id = s.workspace_id AND b.key = s.key AND b.deleted_at IS NULL"
_HELD = f"{MESSAGE} m ON m.session_id = b.id AND m.workspace_id = b.workspace_id"
_ROOTS = ("s.parent_id IS NULL", "s.deleted_at IS NULL")
# A time is a scalar subquery, so that the planner does not see its value; otherwise it would make a new plan per call.
_CONDITIONS = {
    "nobody": "s.user_key = ''",
    "user_key": "s.user_key = %(user_key)b AND NOT (s.user_key = '')",
    "user_id": "s.user_id = %(user_id)b",
    "outside": "s.user_id IS NULL AND NOT s.user_left",
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
            "(SELECT COUNT(DISTINCT own.value) FROM json_each(s.tags) AS own "  # read once, however many are wanted
            "WHERE own.value IN (SELECT value FROM json_each(%(tags)b))) "
            "= (SELECT COUNT(DISTINCT value) FROM json_each(%(tags)b))"
        ),
        "title": "s.title REGEXP %(title)b",  # SQLite's LIKE ignores case only for ASCII letters
        "cost": (
            f"CASE WHEN json_type(m.metadata, '$.{COST}') IN ('integer', 'real') "
            f"THEN json_extract(m.metadata, '$.{COST}') END"
        ),
    },
}


@cache
def find(vendor: str, given: tuple[str, ...], *, backwards: bool, capped: bool = False) -> tuple[str, str, str]:
    """A page of a list, as three texts: the caller inserts a number after each of the first two.

    The numbers are the page's size minus 1, after the first text (which is "" on SQLite), and the size. They are not
    parameters, since the planner must know them; otherwise it would make a new plan per call. If another branch than
    ``main`` is current, its counters and name are returned as one text, by a subquery that other rows do not run.
    With ``capped`` the page ends at a number of bytes too, and each row ends with the number of rows of the uncut page;
    on SQLite the caller stops by itself.
    """
    where, order = meets(vendor, given), "ASC" if backwards else "DESC"
    page = f"""
SELECT {recorded()}
FROM {SESSION} s WHERE {where}"""
    if vendor == "sqlite":
        return "", f"{page} ORDER BY s.listed_at {order}, s.id {order} LIMIT ", ""
    nth = (
        f"SELECT s.listed_at FROM {SESSION} s WHERE {where} ORDER BY s.listed_at {order}, s.id {order} LIMIT 1 OFFSET "
    )
    # Between two bounds of unknown value the planner expects few rows; beyond a single one, a third of all rows.
    bound = (
        "s.listed_at >= (SELECT CAST('-infinity' AS timestamptz)) "
        "AND s.listed_at <= COALESCE((SELECT listed_at FROM edge) + %(margin)b::interval, 'infinity')"
        if backwards
        else "s.listed_at <= (SELECT CAST('infinity' AS timestamptz)) "
        "AND s.listed_at >= COALESCE((SELECT listed_at FROM edge) - %(margin)b::interval, '-infinity')"
    )
    page = f"{page} AND {bound} ORDER BY s.active_at {order}, s.id {order} LIMIT "
    if not capped:
        return f"WITH edge AS ({nth}", f"){page}", ""
    end = f"){until_heavy('page', (*COLUMNS, 'shown'), f'active_at {order}, id {order}')}"
    return f"WITH edge AS ({nth}", f"), page AS ({page}", end


def until_heavy(page: str, columns: Sequence[str], order: str) -> str:
    """The first rows of a page that fit into %(most)b bytes, at least one; for PostgreSQL.

    Each row ends with the number of rows of the whole page. ``page``: a query, or the name of one.
    """
    own = " + ".join(("256", *(f"octet_length({name})" for name in JSON)))
    summed = f"SUM({own}) OVER (ORDER BY {order} ROWS UNBOUNDED PRECEDING)"
    rows = page if page.isidentifier() else f"({page}) AS page"
    return f"""
SELECT {", ".join(columns)}, whole FROM (
  SELECT *, {own} AS own, {summed} AS spent, COUNT(*) OVER () AS whole FROM {rows}
) AS page WHERE spent <= %(most)b OR spent = own ORDER BY {order}"""


def recorded() -> str:
    """The columns of the record of a root ``s``, and as one text the values that differ on its current branch."""
    columns = ", ".join(f"CAST(s.{name} AS text) AS {name}" if name in JSON else f"s.{name}" for name in COLUMNS)
    counters = " || ' ' || ".join(f"b.{name}" for name in (*OF_CURRENT, "branch"))
    current = f"SELECT {counters} FROM {SESSION} b WHERE b.id = s.head_id AND b.workspace_id = s.workspace_id"
    return f"{columns}, CASE WHEN s.head_id IS NOT NULL THEN ({current} AND b.deleted_at IS NULL) END AS shown"


@cache
def count(vendor: str, given: tuple[str, ...]) -> str:
    """The number of conversations that meet the conditions."""
    return f"SELECT COUNT(*) FROM {SESSION} s WHERE {meets(vendor, given)}"


@cache
def usage(vendor: str, given: tuple[str, ...]) -> str:
    """The usage totals of the conversations that meet the conditions, each stored message counted once."""
    answer = "m.role = 'assistant'"
    return f"""
WITH held AS (
  SELECT b.id, b.parent_id, COUNT(m.id) AS messages, SUM(CASE WHEN {answer} THEN 0 ELSE m.tokens END) AS input,
    SUM(CASE WHEN {answer} THEN m.tokens END) AS output,
    SUM(CASE WHEN m.metadata LIKE %(names_cost)b THEN {_OF_VENDOR[vendor]["cost"]} END) AS cost
  FROM {SESSION} s JOIN {_FAMILY} LEFT JOIN {_HELD} WHERE {meets(vendor, given)} GROUP BY b.id, b.parent_id
)
SELECT SUM(CASE WHEN parent_id IS NULL THEN 1 END), SUM(messages), SUM(input), SUM(output), SUM(cost) FROM held"""


def meets(vendor: str, given: Sequence[str]) -> str:
    """The condition for the root ``s`` of a conversation of %(workspace)b that meets the conditions given by name."""
    tenant = f"s.workspace_id = {named_workspace(by_id='workspace_id' in given)}"
    return " AND ".join((tenant, *_ROOTS, *_known(vendor, given)))


def named_workspace(*, by_id: bool) -> str:
    """The id of the workspace whose slug is %(workspace)b; with ``by_id`` only if it is %(workspace_id)b."""
    known = " AND w.id = %(workspace_id)b" if by_id else ""
    return f"({NAMED_WORKSPACE}{known})"


def checks(vendor: str, given: Sequence[str]) -> str:
    """As ``meets``, for a root ``s`` that the statement finds in another way; PostgreSQL uses no index for these.

    Otherwise, with old statistics, it would read all conversations of a workspace or of a user for each root.
    """
    return " AND ".join(f"({condition}) IS TRUE" for condition in ("s.deleted_at IS NULL", *_known(vendor, given)))


def _known(vendor: str, given: Sequence[str]) -> list[str]:
    known = _CONDITIONS | _OF_VENDOR[vendor]
    return [known[name] for name in given if name in known]
