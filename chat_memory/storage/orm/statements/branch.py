"""Owns the statements that read a branch: its own messages and, up to its fork, those of its ancestors.

They are longer forms of the statements in ``statements.read`` and ``statements.window``, and can read ``main`` too. The
last column of the header row is 1 for a branch and 0 for ``main``. Positions along a lineage have no gaps, so the
newest n messages are a range of positions; nothing is sorted, and of each session in the lineage only the messages
within the range are read.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

from chat_memory.storage.orm.statements.read import SUMMARY_COLUMNS
from chat_memory.storage.orm.statements.tables import (
    BY_ID,
    HEADER,
    MESSAGE,
    SESSION,
    SUMMARY,
    SYSTEM,
    header_row,
    meant,
    meant_root,
    message_columns,
    weight,
)
from chat_memory.storage.orm.statements.window import (
    beginning,
    edge,
    flags,
    functions,
    heavy,
    in_line,
    newest_turn,
    of_window,
    passed,
    since,
    up_to,
)

OF_BRANCH = ("parent_id", "fork_seq")
FORKED = "CASE WHEN parent_id IS NULL THEN 0 ELSE 1 END"


@cache
def peek(*, by_id: bool, owner: str, follows: bool) -> str:
    """The header of the branch that is named; with ``follows``, of the current branch."""
    return (
        f"WITH {meant_row(by_id=by_id, owner=owner, follows=follows)} SELECT {', '.join(HEADER)}, {FORKED} FROM session"
    )


@cache
def summaries(*, by_id: bool, owner: str, follows: bool) -> str:
    """The summaries of visible messages of a branch, its own and those of shared messages, oldest first."""
    columns = ", ".join(f"k.{column}" for column in SUMMARY_COLUMNS)
    return f"""
WITH RECURSIVE {meant_row(by_id=by_id, owner=owner, follows=follows)}, {line_of("last_seq", "session s")}
SELECT {columns}, (SELECT {FORKED} FROM session) FROM lineage l JOIN {SUMMARY} k ON k.workspace_id = l.workspace_id
  AND k.session_id = l.id AND k.text IS NOT NULL AND k.last_seq <= l.high
WHERE k.last_seq > (SELECT base_seq FROM session) ORDER BY k.last_seq, k.id"""


@cache
def read(
    *,
    by_id: bool,
    owner: str,
    follows: bool,
    newest: bool,
    bounded: bool,
    system: bool,
    postgresql: bool,
    capped: bool = False,
) -> str:
    """The messages of a span on a branch, and its header; with ``capped`` the span ends at a number of bytes too."""
    least, greatest = functions(postgresql=postgresql)
    low, high = f"{greatest}(base_seq, %(after)b)", f"{least}(last_seq, %(before)b - 1)"
    if bounded and newest:
        low = f"{greatest}({low}, {high} - %(size)b)"
    elif bounded:
        high = f"{least}({high}, {low} + %(size)b)"
    part = partial(_part, condition=SYSTEM if system else "", postgresql=postgresql)
    span = f"span AS (SELECT {low} AS low, {high} AS high FROM session), {line_of('last_seq', 'session s')}"
    if bounded and capped:
        span = _capped(span.replace("span AS", "whole AS", 1), part, newest=newest, postgresql=postgresql)
    return f"""
WITH RECURSIVE {meant_row(by_id=by_id, owner=owner, follows=follows)}, {span}
{header_row(FORKED)}
UNION ALL
SELECT {message_columns("m")}, NULL FROM lineage l {part("(SELECT low FROM span)", "(SELECT high FROM span)")}"""


def _capped(whole: str, part: Callable[[str, str], str], *, newest: bool, postgresql: bool) -> str:
    """CTEs that cut the span ``whole`` to at most %(most)b bytes; only the lengths of messages are read for that."""
    rows = part("(SELECT low FROM whole)", "(SELECT high FROM whole)")
    order = f"ORDER BY seq {'DESC' if newest else 'ASC'} ROWS UNBOUNDED PRECEDING"
    ends = "COALESCE(MIN(seq) - 1, 0) AS low, COALESCE(MAX(seq), 0) AS high"
    return f"""{whole},
weighed AS (SELECT m.seq, {weight("m", postgresql=postgresql)} AS own FROM lineage l {rows}),
summed AS (SELECT seq, own, SUM(own) OVER ({order}) AS spent FROM weighed),
span AS (SELECT {ends} FROM summed WHERE spent <= %(most)b OR spent = own)"""


@cache
def window(
    *,
    by_id: bool,
    owner: str,
    follows: bool,
    budget: str,
    system: bool,
    greeting: bool,
    postgresql: bool,
    capped: bool = False,
    until: bool = False,
) -> str:
    """As ``statements.window.window``, along a branch.

    The start of the window is searched among the newest ``look`` messages. If it is not among them, the second flag of
    the header row is 1.
    """
    least, greatest = functions(postgresql=postgresql)
    ends, line = up_to(until=until), in_line(until=until)
    of_system = _part("(SELECT base_seq FROM session)", "l.high", f"{SYSTEM}{ends}", postgresql=postgresql)
    spent = f"(SELECT COALESCE(SUM(m.tokens), 0) FROM lineage l {of_system})" if system else "0"
    behind = "(SELECT COALESCE(e.seq, s.last_seq) FROM edge e CROSS JOIN session s)"
    fitting = f"""AND m.role <> 'system'{ends} AND m.turn > (SELECT turn FROM start)
  AND (m.seq > (SELECT seq FROM start) OR m.seq = (SELECT seq FROM asked))"""
    counted = _part(behind, "l.high", fitting, postgresql=postgresql)
    parts = [f"FROM lineage l {part} WHERE true" for part in ((counted, of_system) if system else (counted,))]
    bound = f",{heavy(parts, postgresql=postgresql)}" if capped else ""
    more = newest_turn("b", until=until), since("b", "%(look)b", greatest)
    looked_at = _part("(SELECT since FROM session)", "l.high", ends, postgresql=postgresql)
    found = f"SELECT MAX(seq) FROM recent m WHERE turn <= (SELECT turn FROM start) {line}"
    return f"""
WITH RECURSIVE {meant_row(*more, by_id=by_id, owner=owner, follows=follows)}, {line_of("last_seq", "session s")},
recent AS (SELECT m.seq, m.turn, m.role, m.tokens, m.crossed FROM lineage l {looked_at}),
{passed(budget, f"FROM recent m WHERE m.role <> 'system' {line}", spent, greeting=greeting)},
start AS ({beginning(least, greatest)}),
{edge(found)},
asked AS (
  SELECT MIN(seq) AS seq FROM recent
  WHERE role <> 'system' AND seq > (SELECT seq FROM edge) AND turn > (SELECT turn FROM start)
){bound}
{header_row(FORKED, *flags(capped=capped))}
{of_window(parts, capped=capped)}"""


@cache
def ancestors() -> str:
    """The ancestors of a branch, each with the range of its positions that the branch shares."""
    return f"""
WITH RECURSIVE {line_of("CAST(%(high)b AS bigint)", f"{SESSION} s WHERE {BY_ID}")}
SELECT id, low, high FROM lineage"""


@cache
def sharing() -> str:
    """The ids of a session row and of all its descendants that share one of its positions."""
    return f"""
WITH RECURSIVE below(id) AS (
  SELECT s.id FROM {SESSION} s WHERE {BY_ID}
  UNION ALL
  SELECT s.id FROM below JOIN {SESSION} s
    ON s.parent_id = below.id AND s.workspace_id = %(workspace_id)b AND s.fork_seq >= %(seq)b
)
SELECT id FROM below"""


@cache
def siblings(*, by_id: bool, owner: str, follows: bool) -> str:
    """The messages at a position that follow the same history: on the row with the position before, and on its forks.

    Each comes with the branch on which it was stored, and whether the branch that is read shows it.
    """
    return f"""
WITH RECURSIVE {meant_row(by_id=by_id, owner=owner, follows=follows)}, {line_of("last_seq", "session s")},
origin AS (SELECT id, workspace_id FROM lineage WHERE low < %(seq)b - 1 AND %(seq)b - 1 <= high
  UNION ALL SELECT id, workspace_id FROM lineage WHERE %(seq)b = 1 AND parent_id IS NULL),
alternative AS (
  SELECT s.id, s.workspace_id, s.branch, 0 AS number FROM origin o
    JOIN {SESSION} s ON s.id = o.id AND s.workspace_id = o.workspace_id
  WHERE s.last_seq >= %(seq)b AND s.base_seq < %(seq)b
  UNION ALL
  SELECT s.id, s.workspace_id, s.branch, s.branch_number FROM origin o
    JOIN {SESSION} s ON s.parent_id = o.id AND s.workspace_id = o.workspace_id AND s.fork_seq = %(seq)b - 1
  WHERE s.last_seq >= %(seq)b AND s.base_seq < %(seq)b AND s.deleted_at IS NULL
)
SELECT a.branch, m.client_id, CASE WHEN EXISTS (
    SELECT 1 FROM lineage l WHERE l.id = a.id AND l.low < %(seq)b AND l.high >= %(seq)b
  ) THEN 1 ELSE 0 END
FROM alternative a JOIN {MESSAGE} m ON m.session_id = a.id AND m.workspace_id = a.workspace_id AND m.seq = %(seq)b
WHERE EXISTS (SELECT 1 FROM session WHERE base_seq < %(seq)b AND last_seq >= %(seq)b)
ORDER BY a.number, a.id"""


def _part(low: str, high: str, condition: str, *, postgresql: bool) -> str:
    """The messages that a row of the lineage has within a span, joined to it."""
    least, greatest = functions(postgresql=postgresql)
    upper = "l.high" if high == "l.high" else f"{least}(l.high, {high})"
    where = f"""m.session_id = l.id AND m.workspace_id = l.workspace_id
  AND m.seq > {greatest}(l.low, {low}) AND m.seq <= {upper} {condition}"""
    # OFFSET 0 makes PostgreSQL read each part by an index scan; otherwise it may join whole sessions.
    lateral = f"CROSS JOIN LATERAL (SELECT * FROM {MESSAGE} m WHERE {where} OFFSET 0) m"
    return lateral if postgresql else f"JOIN {MESSAGE} m ON {where}"


def line_of(high: str, first: str) -> str:
    """A CTE of the row ``first`` and its ancestors, each with the range of its visible positions.

    The range of ``first`` ends at ``high``, and that of an ancestor at the fork of the branch below it.
    """
    return f"""lineage(id, workspace_id, parent_id, low, high) AS (
  SELECT s.id, s.workspace_id, s.parent_id, COALESCE(s.fork_seq, 0), {high} FROM {first}
  UNION ALL
  SELECT p.id, p.workspace_id, p.parent_id, COALESCE(p.fork_seq, 0), l.low
  FROM lineage l JOIN {SESSION} p ON p.id = l.parent_id AND p.workspace_id = l.workspace_id
)"""


def meant_row(*more: str, by_id: bool, owner: str, follows: bool) -> str:
    """A CTE of the row to read: the branch that is named, or with ``follows`` the conversation's current branch.

    ``more`` are further expressions over the row ``b``.
    """
    row = ", ".join([*(f"b.{column}" for column in (*HEADER, *OF_BRANCH)), *more])
    if not follows:
        return f"session AS (SELECT {row.replace('b.', 's.')} FROM {SESSION} s WHERE {meant(by_id=by_id, owner=owner)})"
    current = "b.id = COALESCE(s.head_id, s.id) AND b.workspace_id = s.workspace_id"
    both = f"{SESSION} s JOIN {SESSION} b ON {current}"
    return f"session AS (SELECT {row} FROM {both} WHERE {meant_root(by_id=by_id, owner=owner)})"
