"""Owns the statement of a window on ``main``, and what it shares with that of a branch: the walk back to its beginning.

The length of the walk has a fixed bound, which does not depend on PostgreSQL's statistics, because one conversation may
be most of a table.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from chat_memory.storage.orm.statements.read import OF_SESSION, root
from chat_memory.storage.orm.statements.tables import MESSAGE, SYSTEM, header_row, message_columns, weight

FARTHER, FAR = 16, 20_000
"""On ``main`` a window looks back by FARTHER times ``look`` positions and FAR more, because a turn may be long and the
walk ends where the window begins. On a branch all positions in the look are read, so it looks back by ``look`` only."""


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

    ``passed`` is the newest message that does not fit into the budget, found by walking back over the window's rows and
    one more; the turns after its turn are the window. The walk skips messages that crossed a later question, because
    their turns are out of order. So there may be more rows than the window has, and the caller must take the window
    from them. The order of the rows is not defined. With ``until``, the turn %(until)b counts as the newest.

    The walk is limited to FAR positions plus FARTHER times ``look``, because PostgreSQL may sort rows instead of
    walking over them. If the limit is reached, the second flag of the header row is 1 and only system messages come:
    the caller must run the statement again with a larger ``look``. With ``capped``, the third flag is 1 and no message
    comes if there are more than %(cap)b messages or %(most)b bytes.
    """
    least, greatest = functions(postgresql=postgresql)
    ends, line = up_to(until=until), in_line(until=until)
    near = f"{_after('since FROM session')}{ends} {line}"
    of_system = f"{_after('base_seq FROM session')}{ends} {SYSTEM}"
    spent = f"(SELECT COALESCE(SUM(m.tokens), 0) {of_system})" if system else "0"
    before = f"SELECT m.seq {near} AND m.turn <= (SELECT turn FROM start) ORDER BY m.seq DESC LIMIT 1"
    behind = f"{_after('seq FROM edge')}{ends} AND m.role <> 'system' AND m.turn > (SELECT turn FROM start)"
    # Between the border and the question there may be messages that crossed.
    asked = f"(SELECT m.seq {behind} ORDER BY m.seq LIMIT 1)"
    turns = f"{behind} AND (m.seq > (SELECT seq FROM start) OR m.seq = {asked})"
    parts = [turns, of_system] if system else [turns]
    bound = f",{heavy(parts, postgresql=postgresql)}" if capped else ""
    begin = since("s", f"{FAR} + {FARTHER} * %(look)b", greatest)
    return f"""
WITH {root(newest_turn("s", until=until), begin, by_id=by_id, owner=owner)},
{passed(budget, f"{near} AND m.role <> 'system'", spent, greeting=greeting)},
start AS ({beginning(least, greatest)}),
{edge(before)}{bound}
{header_row("on_branch", *flags(capped=capped))}
{of_window(parts, capped=capped)}"""


def _after(place: str) -> str:
    """The messages after a position: a query from its FROM on.

    With two bounds PostgreSQL expects few rows; with one it expects a third of all, and may read the whole table.
    """
    ends = f"m.seq > (SELECT {place}) AND m.seq <= (SELECT last_seq FROM session)"
    return f"FROM {MESSAGE} m WHERE {OF_SESSION} AND {ends}"


def of_window(parts: Sequence[str], *, capped: bool) -> str:
    """The messages of a window: the union of several queries, each given from its FROM on."""
    only = " AND (SELECT heavy FROM bound) = 0" if capped else ""
    return " ".join(f"UNION ALL SELECT {message_columns('m')}, NULL {part}{only}" for part in parts)


def heavy(parts: Sequence[str], *, postgresql: bool) -> str:
    """A CTE whose value is 1 if a window has more messages than %(cap)b, or more bytes than %(most)b; otherwise 0."""
    own = weight("m", postgresql=postgresql)
    rows = " UNION ALL ".join(f"SELECT * FROM (SELECT {own} AS own {part} LIMIT %(cap)b + 1) AS part" for part in parts)
    return f"""
bound AS (
  SELECT CASE WHEN COUNT(*) > %(cap)b OR COALESCE(SUM(own), 0) > %(most)b THEN 1 ELSE 0 END AS heavy FROM ({rows}) AS m
)"""


def passed(budget: str, walked: str, spent: str, *, greeting: bool) -> str:
    """The CTE ``passed``: one row, for the newest message that does not fit into the budget.

    If everything fits, its turn is the one before the first. Messages before the first question have turn 0.

    Args:
        budget: the kind of the budget.
        walked: the messages on which the budget is spent: a query from its FROM on.
        spent: an expression for the tokens that system messages have spent already.
        greeting: whether the window begins with what precedes the first question, if everything fits.
    """
    none = -1 if greeting else 0
    highest = f"COALESCE(MAX(turn), {none}) AS turn, COALESCE(MAX(seq), 0) AS seq"
    if budget == "turns":
        return f"passed AS (SELECT {highest} FROM (SELECT last_turn - %(size)b AS turn, 0 AS seq FROM session) AS m)"
    own, spent = ("1", "0") if budget == "messages" else ("COALESCE(m.tokens, 0)", spent)
    # The row is found by its sums, so that PostgreSQL can walk back over an index. With an ORDER BY, or an OFFSET of
    # unknown size, it would sort the conversation, or plan each call again.
    return f"""room AS (SELECT CAST(%(size)b AS bigint) - {spent} AS size),
passed AS (
  SELECT {highest} FROM (
    SELECT turn, seq FROM (
      SELECT m.turn, m.seq, {own} AS own, SUM({own}) OVER back AS spent, ROW_NUMBER() OVER back AS number
      {walked} WINDOW back AS (ORDER BY m.seq DESC)
    ) AS m
    WHERE spent > (SELECT size FROM room) AND (number = 1 OR spent - own <= (SELECT size FROM room)) LIMIT 1
  ) AS m
)"""


def beginning(least: str, greatest: str) -> str:
    """The last turn before the window; and the position before the part of the newest turn that fits, if not all do."""
    return f"""
  SELECT {least}(p.turn, {greatest}(s.last_turn - 1, 0)) AS turn,
    CASE WHEN p.turn < s.last_turn THEN 0 ELSE p.seq END AS seq
  FROM passed p CROSS JOIN session s"""


def since(table: str, look: str, greatest: str) -> str:
    """The position at which the walk ends: ``look`` before the last one, or the last cleared one."""
    return f"{greatest}({table}.base_seq, {table}.last_seq - ({look})) AS since"


def edge(found: str) -> str:
    """The CTE of the position after which a window begins, by a query for it; NULL where the walk ended before it."""
    return f"edge AS (SELECT COALESCE(({found}), CASE WHEN since = base_seq THEN base_seq END) AS seq FROM session)"


def flags(*, capped: bool) -> tuple[str, ...]:
    """The flags after a window's header and its branch flag: the walk ended too early, the window is too large."""
    is_too_near = "CASE WHEN (SELECT seq FROM edge) IS NULL THEN 1 ELSE 0 END"
    return (is_too_near, "(SELECT heavy FROM bound)")[: 1 + capped]


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
