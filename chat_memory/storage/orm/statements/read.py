"""Owns the statements that read a conversation whose current branch is ``main``, for both database vendors.

Nearly all conversations are such. If another branch is current, the flag ``on_branch`` in the last column is 1.
"""

from __future__ import annotations

from functools import cache

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
)

OF_SESSION = (
    "m.session_id = (SELECT id FROM session WHERE on_branch = 0) "
    "AND m.workspace_id = (SELECT workspace_id FROM session)"
)
SUMMARY_COLUMNS = ("first_seq", "last_seq", "text", "model", "tokens", "created_at")


def root(*more: str, by_id: bool) -> str:
    """A CTE of the root's row."""
    state = ", ".join(f"s.{column}" for column in (*HEADER, *more))
    return f"session AS (SELECT {state}, {ON_BRANCH} FROM {SESSION} s WHERE {meant_root(by_id=by_id)})"


@cache
def peek(*, by_id: bool) -> str:
    """The header of a conversation; the cache compares it with the header of its entry."""
    columns = ", ".join(f"s.{column}" for column in HEADER)
    return f"SELECT {columns}, {ON_BRANCH} FROM {SESSION} s WHERE {meant_root(by_id=by_id)}"


@cache
def summaries(*, by_id: bool) -> str:
    """The summaries of visible messages, oldest first; where there are none, one row whose columns are NULL."""
    columns = ", ".join(f"k.{column}" for column in SUMMARY_COLUMNS)
    return f"""
SELECT {columns}, {ON_BRANCH} FROM {SESSION} s LEFT JOIN {SUMMARY} k ON k.workspace_id = s.workspace_id
  AND k.session_id = s.id AND k.text IS NOT NULL AND k.last_seq > s.base_seq AND k.last_seq <= s.last_seq
WHERE {meant_root(by_id=by_id)} ORDER BY k.last_seq, k.id"""


@cache
def read(*, by_id: bool, newest: bool, bounded: bool, system: bool = False) -> str:
    """The messages of a span and the header, in one statement and so from one snapshot; the rows are not ordered.

    In one row the message columns are NULL and the last column has the header as text (``tables.header_row``). Columns
    for the header would add their cost to every row. With scalar subqueries the index on (session, seq) is scanned from
    the end that the span needs, so the cost does not grow with the session.
    """
    span = f"""
  SELECT {message_columns("m")}, NULL AS header FROM {MESSAGE} m
  WHERE {OF_SESSION} AND m.seq > (SELECT base_seq FROM session) AND m.seq > %(after)b AND m.seq < %(before)b
    {SYSTEM if system else ""}"""
    if bounded:
        span = f"SELECT * FROM ({span} ORDER BY m.seq {'DESC' if newest else 'ASC'} LIMIT %(size)b) AS span"
    return f"""
WITH {root(by_id=by_id)}
{header_row("on_branch")}
UNION ALL {span}"""


@cache
def read_few(*, by_id: bool, newest: bool, system: bool) -> str:
    """As ``read`` with ``bounded``, for PostgreSQL only: each row ends with the header's columns and ``on_branch``.

    For few rows this costs less than a header row. If there are no messages, one row has NULL in the message columns.
    """
    state = ", ".join(f"s.{column}" for column in HEADER)
    return f"""
SELECT {message_columns("m")}, {state}, {ON_BRANCH} FROM {SESSION} s LEFT JOIN LATERAL (
  SELECT * FROM {MESSAGE} m WHERE m.session_id = s.id AND m.workspace_id = s.workspace_id AND s.head_id IS NULL
    AND m.seq > s.base_seq AND m.seq > %(after)b AND m.seq < %(before)b {SYSTEM if system else ""}
  ORDER BY m.seq {"DESC" if newest else "ASC"} LIMIT %(size)b
) m ON true WHERE {meant_root(by_id=by_id)}"""


@cache
def window(*, by_id: bool, budget: str, system: bool, greeting: bool, postgresql: bool) -> str:
    """The newest whole turns within a budget; of a newest turn that does not fit, its question and its newest messages.

    ``passed`` is the newest message that the budget does not take, found by walking back over the window's rows and one
    more; the turns after its turn are the window. Rows come in no promised order.
    """
    least, greatest = functions(postgresql=postgresql)
    shown = f"FROM {MESSAGE} m WHERE {OF_SESSION} AND m.seq > (SELECT base_seq FROM session)"
    counted = f"{shown} AND m.role <> 'system'"
    passed = {
        "turns": "SELECT last_turn - %(size)b AS turn, 0 AS seq FROM session",
        "messages": f"SELECT m.turn, m.seq {counted} ORDER BY m.seq DESC LIMIT 1 OFFSET %(size)b",
        "tokens": f"""
    SELECT turn, seq FROM (
      SELECT m.turn, m.seq, SUM(COALESCE(m.tokens, 0)) OVER (ORDER BY m.seq DESC) AS spent {counted}
    ) AS m WHERE spent > %(size)b - {f"(SELECT COALESCE(SUM(m.tokens), 0) {shown} {SYSTEM})" if system else "0"}
    ORDER BY m.seq DESC LIMIT 1""",
    }[budget]
    before = f"SELECT m.seq {shown} AND m.turn <= (SELECT turn FROM start) ORDER BY m.seq DESC LIMIT 1"
    along = f"UNION ALL SELECT {message_columns('m')}, NULL {shown} {SYSTEM}" if system else ""
    return f"""
WITH {root("last_turn", by_id=by_id)},
passed AS ({first_passed(passed, greeting=greeting)}),
start AS ({beginning(least, greatest)}),
edge AS (SELECT COALESCE(({before}), (SELECT base_seq FROM session)) AS seq)
{header_row("on_branch")}
UNION ALL SELECT {message_columns("m")}, NULL {counted} AND m.seq > (SELECT seq FROM edge)
  AND (m.seq > (SELECT seq FROM start) OR m.seq = (SELECT seq FROM edge) + 1) {along}"""


def first_passed(passed: str, *, greeting: bool) -> str:
    """The one row of the newest message that a budget does not take; where it takes all, the turn before the first.

    What precedes the first question has the turn 0.
    """
    none = -1 if greeting else 0
    return f"SELECT COALESCE(MAX(turn), {none}) AS turn, COALESCE(MAX(seq), 0) AS seq FROM ({passed}) AS passed"


def beginning(least: str, greatest: str) -> str:
    """The last turn before the window; and in the newest turn, if it does not fit, the position before what fits."""
    return f"""
  SELECT {least}(p.turn, {greatest}(s.last_turn - 1, 0)) AS turn,
    CASE WHEN p.turn < s.last_turn THEN 0 ELSE p.seq END AS seq
  FROM passed p CROSS JOIN session s"""


def functions(*, postgresql: bool) -> tuple[str, str]:
    """The smaller and the larger of two numbers."""
    return ("least", "greatest") if postgresql else ("min", "max")
