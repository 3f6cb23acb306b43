"""Owns the text of the longer statements: reads along a branch, and windows; it must not run them."""

from __future__ import annotations

from functools import cache

from chat_memory.storage.orm.statements import (
    BY_ID,
    BY_NAME,
    HEADER,
    MESSAGE,
    OF_SESSION,
    SESSION,
    SYSTEM,
    header_row,
    message_columns,
    root,
)

OF_BRANCH = ("parent_id", "fork_seq")


@cache
def peek(*, by_id: bool, follows: bool) -> str:
    """The header of a branch, or of the branch that speaks."""
    return f"WITH {_session(by_id=by_id, follows=follows)} SELECT {', '.join(HEADER)} FROM session"


@cache
def read(*, by_id: bool, follows: bool, newest: bool, bounded: bool, system: bool, postgresql: bool) -> str:
    """The messages of a span on a branch, and its header; as ``statements.read``, of which this is the longer form.

    Positions along a lineage have no holes, so the newest n are a range, not a sort: each of the branch's rows is
    walked only where the range meets it.
    """
    least, greatest = ("least", "greatest") if postgresql else ("min", "max")
    low, high = f"{greatest}(base_seq, %(after)b)", f"{least}(last_seq, %(before)b - 1)"
    if bounded and newest:
        low = f"{greatest}({low}, {high} - %(size)b)"
    elif bounded:
        high = f"{least}({high}, {low} + %(size)b)"
    part = f"""m.session_id = l.id AND m.workspace_id = l.workspace_id
  AND m.seq > {greatest}(l.low, (SELECT low FROM span)) AND m.seq <= {least}(l.high, (SELECT high FROM span))
  {SYSTEM if system else ""}"""
    # OFFSET keeps PostgreSQL from joining whole sessions: each part is then a walk of the index.
    lateral = f"CROSS JOIN LATERAL (SELECT * FROM {MESSAGE} m WHERE {part} OFFSET 0) m"
    messages = lateral if postgresql else f"JOIN {MESSAGE} m ON {part}"
    return f"""
WITH RECURSIVE {_session(by_id=by_id, follows=follows)}, span AS (SELECT {low} AS low, {high} AS high FROM session),
{_lineage("last_seq", "session s")}
{header_row()}
UNION ALL
SELECT {message_columns("m")}, NULL FROM lineage l {messages}"""


@cache
def ancestors() -> str:
    """The rows above a branch, each with the part of it that the branch shows; both vendors."""
    return f"""
WITH RECURSIVE {_lineage("CAST(%(high)b AS bigint)", f"{SESSION} s WHERE {BY_ID}")}
SELECT id, low, high FROM lineage"""


@cache
def window(*, by_id: bool, budget: str, system: bool) -> str:
    """The newest whole turns within a budget, both vendors, of a conversation that its root speaks for.

    ``passed`` is the newest turn that the budget does not take, found by walking back over the window's rows and one
    more; the turns after it are the window. Rows come in no promised order.
    """
    shown = f"FROM {MESSAGE} m WHERE {OF_SESSION} AND m.seq > (SELECT base_seq FROM session)"
    spoken = f"{shown} AND m.role <> 'system'"
    passed = {
        "turns": "SELECT last_turn - %(size)b FROM session",
        "messages": f"SELECT m.turn {spoken} ORDER BY m.seq DESC LIMIT 1 OFFSET %(size)b",
        "tokens": f"""
    SELECT turn FROM (
      SELECT m.turn, m.seq, SUM(COALESCE(m.tokens, 0)) OVER (ORDER BY m.seq DESC) AS spent {spoken}
    ) AS m WHERE spent > %(size)b - {f"(SELECT COALESCE(SUM(m.tokens), 0) {shown} {SYSTEM})" if system else "0"}
    ORDER BY m.seq DESC LIMIT 1""",
    }[budget]
    before = f"SELECT m.seq {shown} AND m.turn <= (SELECT turn FROM passed) ORDER BY m.seq DESC LIMIT 1"
    along = f"UNION ALL SELECT {message_columns('m')}, NULL {shown} {SYSTEM}" if system else ""
    return f"""
WITH {root("last_turn", by_id=by_id)},
passed AS (SELECT COALESCE(({passed}), 0) AS turn),
start AS (SELECT COALESCE(({before}), 0) AS seq)
{header_row("spoken_for")}
UNION ALL SELECT {message_columns("m")}, NULL {spoken} AND m.seq > (SELECT seq FROM start) {along}"""


def _lineage(high: str, first: str) -> str:
    """A row and those above it, as a CTE, each with the positions that are shown of it: the first up to ``high``."""
    return f"""lineage(id, workspace_id, parent_id, low, high) AS (
  SELECT s.id, s.workspace_id, s.parent_id, COALESCE(s.fork_seq, 0), {high} FROM {first}
  UNION ALL
  SELECT p.id, p.workspace_id, p.parent_id, COALESCE(p.fork_seq, 0), l.low
  FROM lineage l JOIN {SESSION} p ON p.id = l.parent_id AND p.workspace_id = l.workspace_id
)"""


def _session(*, by_id: bool, follows: bool) -> str:
    """The row that is read, as a CTE: the one that is named, or the one that speaks for the root that is."""
    row = ", ".join(f"b.{column}" for column in (*HEADER, *OF_BRANCH))
    named = f"{BY_ID if by_id else BY_NAME} AND s.deleted_at IS NULL"
    if not follows:
        return f"session AS (SELECT {row.replace('b.', 's.')} FROM {SESSION} s WHERE {named})"
    speaker = "b.id = COALESCE(s.head_id, s.id) AND b.workspace_id = s.workspace_id"
    both = f"{SESSION} s JOIN {SESSION} b ON {speaker}"
    return f"session AS (SELECT {row} FROM {both} WHERE {named} AND s.parent_id IS NULL)"
