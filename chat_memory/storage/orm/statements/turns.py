"""Owns the statements about who holds a turn, for both database vendors; they change nothing else.

Leases are in milliseconds of the database's own clock. A statement that changes a turn's row and a session's row locks
the turn's row first.
"""

from __future__ import annotations

from functools import cache

from chat_memory.storage.orm.statements.tables import SESSION, TURN

NOW = "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)"
_NOW_OF_SQLITE = "CAST((julianday('now') - 2440587.5) * 86400000.0 AS integer)"
OVERWRITE = """ON CONFLICT (session_id, turn) DO UPDATE SET
    seq = EXCLUDED.seq, holder = EXCLUDED.holder, lease_until = EXCLUDED.lease_until, state = EXCLUDED.state"""
_SHOWN = f"""t.seq > (
  SELECT s.base_seq FROM {SESSION} s WHERE s.id = t.session_id AND s.workspace_id = t.workspace_id)"""
_OPEN = "t.state = 'open' AND t.lease_until > {now}"


def now(*, postgresql: bool) -> str:
    """The database's clock in milliseconds, as an expression."""
    return NOW if postgresql else _NOW_OF_SQLITE


def of_turn(table: str) -> str:
    """The condition for turns of the branch with a handle's ids."""
    return f"{table}.workspace_id = %(workspace_id)b AND {table}.session_id = %(session_id)b"


@cache
def seen(*, postgresql: bool) -> str:
    """The holder of a turn, its state, the end of its lease, and the milliseconds until then."""
    left = f"t.lease_until - {now(postgresql=postgresql)}"
    return f"SELECT t.holder, t.state, t.lease_until, {left} FROM {TURN} t WHERE {of_turn('t')} AND t.turn = %(turn)b"


@cache
def put(*, postgresql: bool) -> str:
    """Store the holder of a turn whose question was just stored, under the lock of its conversation."""
    values = (
        f"%(workspace_id)b, %(session_id)b, %(turn)b, %(seq)b, %(holder)b, {now(postgresql=postgresql)} + %(lease)b"
    )
    return f"""
INSERT INTO {TURN} (workspace_id, session_id, turn, seq, holder, lease_until, state) VALUES ({values}, 'open')
{OVERWRITE} RETURNING turn"""


@cache
def taken(*, postgresql: bool, is_first: bool) -> str:
    """Take a turn if it is still as it was read; no row is returned if somebody else was faster.

    ``is_first``: the turn had no row, because its question was stored by an ordinary append.
    """
    until = f"{now(postgresql=postgresql)} + %(lease)b"
    if is_first:
        values = f"%(workspace_id)b, %(session_id)b, %(turn)b, %(seq)b, %(holder)b, {until}, 'open'"
        return f"""
INSERT INTO {TURN} (workspace_id, session_id, turn, seq, holder, lease_until, state) VALUES ({values})
ON CONFLICT DO NOTHING RETURNING turn"""
    return f"""
UPDATE {TURN} AS t SET holder = %(holder)b, lease_until = {until}, state = 'open', seq = %(seq)b
WHERE {of_turn("t")} AND t.turn = %(turn)b AND t.holder = %(seen_holder)b AND t.state = %(seen_state)b
  AND t.lease_until = %(seen_until)b RETURNING turn"""


@cache
def renewed(*, postgresql: bool, state: bool) -> str:
    """Renew a turn that the caller holds; with ``state``, set its state too.

    No row is returned if the caller does not hold it, or if its question was cleared.
    """
    more = ", state = %(state_of_turn)b" if state else ""
    return f"""
UPDATE {TURN} AS t SET lease_until = {now(postgresql=postgresql)} + %(lease)b{more}
WHERE {of_turn("t")} AND t.turn = %(turn)b AND t.holder = %(holder)b AND {_SHOWN} RETURNING turn"""


@cache
def touched(*, postgresql: bool) -> str:
    """Change the row of a turn that nobody is answering, so that ``taken`` fails for a caller that has read it before.

    No row is returned if somebody is answering it.
    """
    clock = now(postgresql=postgresql)
    return f"""
UPDATE {TURN} AS t SET lease_until = t.lease_until - 1
WHERE {of_turn("t")} AND t.turn = %(turn)b AND NOT ({_OPEN.format(now=clock)}) RETURNING turn"""


@cache
def asked_at() -> str:
    """The position of the question of a turn."""
    return f"SELECT t.seq FROM {TURN} t WHERE {of_turn('t')} AND t.turn = %(turn)b"


@cache
def released() -> str:
    """Give up a turn that the caller holds and has not answered."""
    return f"""
UPDATE {TURN} AS t SET lease_until = 0, state = 'free'
WHERE {of_turn("t")} AND t.turn = %(turn)b AND t.holder = %(holder)b AND t.state = 'open' RETURNING turn"""


@cache
def opened(*, postgresql: bool) -> str:
    """The turns of a branch that are being answered: numbers, positions of the questions, milliseconds left."""
    clock = now(postgresql=postgresql)
    return f"""
SELECT t.turn, t.seq, t.lease_until - {clock} FROM {TURN} t
WHERE {of_turn("t")} AND {_OPEN.format(now=clock)} AND {_SHOWN} ORDER BY t.turn"""


@cache
def ended(*, postgresql: bool) -> str:
    """End the turns of a branch that are being answered and precede a given one, and return them."""
    clock = now(postgresql=postgresql)
    return f"""
UPDATE {TURN} AS t SET holder = '', state = %(state_of_turn)b
WHERE {of_turn("t")} AND {_OPEN.format(now=clock)} AND t.turn < %(before)b
RETURNING turn, seq, lease_until - {clock}"""
