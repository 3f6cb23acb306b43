"""Owns the statements that read a conversation whose current branch is ``main``, for both database vendors.

Nearly all conversations are like that. If another branch is current, the flag ``on_branch`` in the last column is 1.
"""

from __future__ import annotations

from functools import cache

from chat_memory.storage.mapping import READ_COLUMNS
from chat_memory.storage.orm.statements.tables import (
    HEADER,
    MESSAGE,
    ON_BRANCH,
    SESSION,
    SUMMARY,
    SYSTEM,
    header_row,
    meant_root,
    message_columns,
    until_full,
)

OF_SESSION = (
    "m.session_id = (SELECT id FROM session WHERE on_branch = 0) "
    "AND m.workspace_id = (SELECT workspace_id FROM session)"
)
SUMMARY_COLUMNS = ("first_seq", "last_seq", "text", "model", "tokens", "created_at")


def root(*more: str, by_id: bool, owner: str) -> str:
    """A CTE of the root's row; ``more`` are further expressions."""
    state = ", ".join([*(f"s.{column}" for column in HEADER), *more])
    return f"session AS (SELECT {state}, {ON_BRANCH} FROM {SESSION} s WHERE {meant_root(by_id=by_id, owner=owner)})"


@cache
def peek(*, by_id: bool, owner: str) -> str:
    """The header of a conversation; the cache compares it with the header of its entry."""
    columns = ", ".join(f"s.{column}" for column in HEADER)
    return f"SELECT {columns}, {ON_BRANCH} FROM {SESSION} s WHERE {meant_root(by_id=by_id, owner=owner)}"


@cache
def summaries(*, by_id: bool, owner: str) -> str:
    """The summaries of visible messages, oldest first; where there are none, one row whose columns are NULL."""
    columns = ", ".join(f"k.{column}" for column in SUMMARY_COLUMNS)
    return f"""
SELECT {columns}, {ON_BRANCH} FROM {SESSION} s LEFT JOIN {SUMMARY} k ON k.workspace_id = s.workspace_id
  AND k.session_id = s.id AND k.text IS NOT NULL AND k.last_seq > s.base_seq AND k.last_seq <= s.last_seq
WHERE {meant_root(by_id=by_id, owner=owner)} ORDER BY k.last_seq, k.id"""


@cache
def read(*, by_id: bool, owner: str, newest: bool, bounded: bool, system: bool = False, capped: bool = False) -> str:
    """The messages of a span and the header, in one statement and so from one snapshot; the rows are not ordered.

    In one row the message columns are NULL and the last column has the header as text (``tables.header_row``). Columns
    for the header would add their cost to every row. With scalar subqueries the index on (session, seq) is scanned from
    the end that the span needs, so the cost does not grow with the session. With ``capped``, for PostgreSQL only, the
    span ends at a number of bytes too; SQLite returns row after row, the header first, and the caller stops.
    """
    span = f"""
  SELECT {message_columns("m")}, NULL AS header FROM {MESSAGE} m
  WHERE {OF_SESSION} AND m.seq > (SELECT base_seq FROM session) AND m.seq > %(after)b AND m.seq < %(before)b
    {SYSTEM if system else ""}"""
    if bounded:
        span = f"SELECT * FROM ({span} ORDER BY m.seq {'DESC' if newest else 'ASC'} LIMIT %(size)b) AS span"
    if bounded and capped:
        named = ", ".join(READ_COLUMNS)
        span = f"SELECT {named}, NULL FROM ({until_full(span, newest=newest, postgresql=True)}) AS capped"
    return f"""
WITH {root(by_id=by_id, owner=owner)}
{header_row("on_branch")}
UNION ALL {span}"""


@cache
def read_few(*, by_id: bool, owner: str, newest: bool, system: bool, capped: bool = False) -> str:
    """As ``read`` with ``bounded``, for PostgreSQL only: each row ends with the header's columns and ``on_branch``.

    For few rows this costs less than a header row. If there are no messages, one row has NULL in the message columns.
    """
    state = ", ".join(f"s.{column}" for column in HEADER)
    span = f"""
  SELECT * FROM {MESSAGE} m WHERE m.session_id = s.id AND m.workspace_id = s.workspace_id AND s.head_id IS NULL
    AND m.seq > s.base_seq AND m.seq > %(after)b AND m.seq < %(before)b {SYSTEM if system else ""}
  ORDER BY m.seq {"DESC" if newest else "ASC"} LIMIT %(size)b
"""
    if capped:
        span = until_full(span, newest=newest, postgresql=True)
    return f"""
SELECT {message_columns("m")}, {state}, {ON_BRANCH} FROM {SESSION} s LEFT JOIN LATERAL ({span}) m ON true
WHERE {meant_root(by_id=by_id, owner=owner)}"""
