"""Owns the statements that read a conversation whose current branch is ``main``, for both database vendors.

Nearly all conversations are such. If another branch is current, the flag ``on_branch`` in the last column is 1.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    weight,
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
    the end that the span needs, so the cost does not grow with the session. With ``capped``, for PostgreSQL alone, the
    span ends at a number of bytes too; SQLite gives row after row, header first, and the caller stops.
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


@cache
def window(
    *,
    by_id: bool,
    owner: str,
    budget: str,
    system: bool,
    greeting: bool,
    postgresql: bool,
    capped: bool = False,
    until: bool = False,
) -> str:
    """The newest whole turns within a budget; of a newest turn that does not fit, its question and its newest messages.

    ``passed`` is the newest message that the budget does not take, found by walking back over the window's rows and one
    more; the turns after its turn are the window. Messages that crossed a later question are passed over there, since
    turns do not grow by them; so the rows may be more than the window, and the caller takes it of them. Rows come in no
    promised order. With ``capped`` the header row ends in 1, and no message comes, where they are more than %(cap)b or
    have more than %(most)b bytes. With ``until`` the turn %(until)b counts as the newest.
    """
    least, greatest = functions(postgresql=postgresql)
    shown = f"FROM {MESSAGE} m WHERE {OF_SESSION} AND m.seq > (SELECT base_seq FROM session){up_to(until=until)}"
    counted = f"{shown} AND m.role <> 'system'"
    walked = f"{counted} {in_line(until=until)}"
    passed = {
        "turns": "SELECT last_turn - %(size)b AS turn, 0 AS seq FROM session",
        "messages": f"SELECT m.turn, m.seq {walked} ORDER BY m.seq DESC LIMIT 1 OFFSET %(size)b",
        "tokens": f"""
    SELECT turn, seq FROM (
      SELECT m.turn, m.seq, SUM(COALESCE(m.tokens, 0)) OVER (ORDER BY m.seq DESC) AS spent {walked}
    ) AS m WHERE spent > %(size)b - {f"(SELECT COALESCE(SUM(m.tokens), 0) {shown} {SYSTEM})" if system else "0"}
    ORDER BY m.seq DESC LIMIT 1""",
    }[budget]
    started = f"{shown} {in_line(until=until)} AND m.turn <= (SELECT turn FROM start)"
    before = f"SELECT m.seq {started} ORDER BY m.seq DESC LIMIT 1"
    behind = f"{counted} AND m.seq > (SELECT seq FROM edge) AND m.turn > (SELECT turn FROM start)"
    # Between the border and the question there may be messages that crossed.
    asked = f"(SELECT m.seq {behind} ORDER BY m.seq LIMIT 1)"
    turns = f"{behind} AND (m.seq > (SELECT seq FROM start) OR m.seq = {asked})"
    parts = [turns, f"{shown} {SYSTEM}"] if system else [turns]
    bound = f",{heavy(parts, postgresql=postgresql)}" if capped else ""
    flags = ("on_branch", "0", "(SELECT heavy FROM bound)") if capped else ("on_branch",)
    return f"""
WITH {root(newest_turn("s", until=until), by_id=by_id, owner=owner)},
passed AS ({first_passed(passed, greeting=greeting)}),
start AS ({beginning(least, greatest)}),
edge AS (SELECT COALESCE(({before}), (SELECT base_seq FROM session)) AS seq){bound}
{header_row(*flags)}
{of_window(parts, capped=capped)}"""


def of_window(parts: Sequence[str], *, capped: bool) -> str:
    """The messages of a window, which are those of several queries, each from its FROM on."""
    only = " AND (SELECT heavy FROM bound) = 0" if capped else ""
    return " ".join(f"UNION ALL SELECT {message_columns('m')}, NULL {part}{only}" for part in parts)


def heavy(parts: Sequence[str], *, postgresql: bool) -> str:
    """A CTE that says by 1 whether a window has more messages than %(cap)b, or more bytes than %(most)b."""
    own = weight("m", postgresql=postgresql)
    rows = " UNION ALL ".join(f"SELECT * FROM (SELECT {own} AS own {part} LIMIT %(cap)b + 1) AS part" for part in parts)
    return f"""
bound AS (
  SELECT CASE WHEN COUNT(*) > %(cap)b OR COALESCE(SUM(own), 0) > %(most)b THEN 1 ELSE 0 END AS heavy FROM ({rows}) AS m
)"""


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


def newest_turn(table: str, *, until: bool) -> str:
    """The turn with which a window ends."""
    return "CAST(%(until)b AS bigint) AS last_turn" if until else f"{table}.last_turn"


def up_to(*, until: bool) -> str:
    """The condition for messages of the turns with which a window may end."""
    return " AND m.turn <= %(until)b" if until else ""


def in_line(*, until: bool) -> str:
    """The condition for messages whose turns never go back from one position to the next."""
    return "AND NOT (m.crossed AND m.turn < %(until)b)" if until else "AND NOT m.crossed"


def functions(*, postgresql: bool) -> tuple[str, str]:
    """The smaller and the larger of two numbers."""
    return ("least", "greatest") if postgresql else ("min", "max")
