"""Owns the append statements for PostgreSQL: one statement assigns positions to the messages of a call and stores them.

The UPDATE of a session waits for the row's lock and then reads the row again (READ COMMITTED), so positions stay dense
with concurrent writers. A statement returns no row if the session does not exist, is not at ``if_version``, or must be
appended to by the locked path.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from chat_memory.fields import MESSAGE_COLUMNS, PLAIN_COLUMNS
from chat_memory.storage.orm.beside import Beside, expressions, returning
from chat_memory.storage.orm.statements.tables import (
    BY_ID,
    MESSAGE,
    NAMED_WORKSPACE,
    ROOT,
    SESSION,
    TURN,
    WORKSPACE,
    meant_root,
    owned,
)
from chat_memory.storage.orm.statements.turns import NOW, OVERWRITE, of_turn
from chat_memory.storage.orm.statements.waiting import bound

TYPES = dict.fromkeys(MESSAGE_COLUMNS, "text") | {"tokens": "int4", "created_at": "timestamptz"}
RETURNED = "id, workspace_id, version, base_seq, last_seq, prev_vtoken, last_turn"
_CLAIM = """,
    user_id = CASE WHEN s.user_key = '' THEN %(user_id)b ELSE s.user_id END,
    user_key = CASE WHEN s.user_key = '' THEN %(user_key)b ELSE s.user_key END"""
_TITLE = """,
    title = CASE WHEN s.title = '' AND s.last_turn = 0 THEN %(title)b ELSE s.title END,
    title_made = s.title_made OR (s.title = '' AND s.last_turn = 0)"""
_AT_VERSION = "(%(if_version)b::int8 IS NULL OR s.version = %(if_version)b::int8)"
_ACTIVE = """updated_at = %(now)b, active_at = %(active)b,
    listed_at = CASE WHEN s.listed_at > %(stale)b AND s.listed_at <= %(active)b THEN s.listed_at ELSE %(active)b END,
    changed_at = CASE WHEN s.changed_at > %(unchanged)b THEN s.changed_at ELSE %(now)b END"""
"""``listed_at`` and ``changed_at``, which are indexed, are set only if they lag by ACTIVITY_GRAIN.

Otherwise every append would write to every index of the row."""
_COUNTERS = """prev_vtoken = s.vtoken, vtoken = %(vtoken)b, version = s.version + 1,
    last_seq = s.last_seq + %(size)b, message_count = s.message_count + %(size)b, last_turn = s.last_turn + %(turns)b"""
FEW = 4
"""Up to this many messages, each value is a parameter of its own; building arrays takes the driver longer."""


NEW, FOUND, HELD = "new", "found", "held"


class Shape(NamedTuple):
    """The properties of a call that determine the text of its statement.

    Attributes:
        rows: the number of messages, each value being a parameter; 0: more than FEW, each column being an array.
        plain: whether all messages are plain text, so that only PLAIN_COLUMNS are written.
        claims: whether the call has a user, who becomes the owner of a conversation without one.
        titled: whether the call has a title.
        owner: how the owner of the conversation is compared, as ``tables.owner_of`` says.
        wait: how long it waits for a lock, in milliseconds; 0: as long as the host's ``lock_timeout`` says.
        beside: what sub-apps write beside messages.
        turn: NEW or FOUND: the message is a question, and the caller gets the right to answer it; with FOUND, it is
            stored only if no branch of the conversation has a message with its id. HELD: the messages belong to a turn,
            and are stored only if the caller holds that turn.
    """

    rows: int
    plain: bool
    claims: bool
    titled: bool
    owner: str
    wait: int
    beside: tuple[Beside, ...] = ()
    turn: str = ""


@cache
def to_main(shape: Shape, *, by_id: bool, follows: bool) -> str:
    """Append to ``main``; with ``follows``, only if no other branch is current."""
    return f"""
WITH {_held(shape)}{_main("session", shape, by_id=by_id, follows=follows)}, {_stored(shape)}
SELECT {RETURNED}, 'main' FROM session"""


@cache
def to_branch(shape: Shape, *, by_id: bool, follows: bool) -> str:
    """Append to a branch other than ``main``: with ``follows`` the current one, otherwise the one that is named.

    The root's row is updated too: its times, and the owner and title if they are not set.
    """
    return f"""
WITH {_held(shape)}{_branch(shape, by_id=by_id, follows=follows)}, session AS (SELECT {RETURNED}, branch FROM appended),
{_stored(shape)}
SELECT {RETURNED}, branch FROM session"""


@cache
def to_any(shape: Shape, user_type: str) -> str:
    """Append to the current branch of a conversation, by its names; create it and its workspace if they do not exist.

    It takes longer than ``to_main`` or ``to_branch``, but less time than two of these statements.
    """
    return f"""
WITH {_main("main", shape, by_id=False, follows=True)}, {_branch(shape, by_id=False, follows=True)},
home AS ({NAMED_WORKSPACE}),
built AS (
  INSERT INTO {WORKSPACE} (slug, name, metadata, created_at)
  SELECT %(workspace)b, '', '{{}}', %(now)b WHERE %(may_build)b AND NOT EXISTS (SELECT 1 FROM home)
    AND {bound(shape.wait)}
  ON CONFLICT DO NOTHING RETURNING id
), made AS (
  INSERT INTO {SESSION} (id, workspace_id, last_seq, last_turn, message_count, version, vtoken, prev_vtoken, updated_at,
    active_at, listed_at, changed_at, base_seq, created_at, pinned, title_made, key_from_client, user_left, key,
    branch, user_id, user_key, title, tags, metadata)
  SELECT %(new_id)b, w.id, %(size)b, %(turns)b, %(size)b, 1, %(vtoken)b, 0, %(now)b,
    %(active)b, %(active)b, %(now)b, 0, %(now)b, false, %(title)b::text IS NOT NULL, false, false, %(key)b, 'main',
    %(user_id)b::{user_type}, %(user_key)b, COALESCE(%(title)b::text, ''), '[]', '{{}}'
  FROM (SELECT id FROM home UNION ALL SELECT id FROM built) w
  WHERE NOT EXISTS (SELECT 1 FROM main) AND NOT EXISTS (SELECT 1 FROM root) AND {bound(shape.wait)}
  ON CONFLICT DO NOTHING RETURNING {RETURNED}, branch
), session AS (
  SELECT {RETURNED}, 'main' AS branch FROM main UNION ALL SELECT {RETURNED}, branch FROM appended
  UNION ALL SELECT {RETURNED}, branch FROM made
), {_stored(shape)}
SELECT {RETURNED}, branch FROM session"""


def _main(name: str, shape: Shape, *, by_id: bool, follows: bool) -> str:
    """A CTE that advances the counters of the root's row, and returns the row under ``name``."""
    return f"""{name} AS (
  UPDATE {SESSION} AS s SET {_COUNTERS}, {_ACTIVE}{_owned(shape)}
  WHERE {meant_root(by_id=by_id, owner=shape.owner)} {"AND s.head_id IS NULL" if follows else ""} AND {_AT_VERSION}
    AND {bound(shape.wait)}{_may_store(shape)}{_shows_question(shape)}
  RETURNING {_columns("s")}
)"""


def _branch(shape: Shape, *, by_id: bool, follows: bool) -> str:
    """CTEs that advance the counters of a branch's row; the root is locked first, as in every change."""
    first = f"s.id, s.workspace_id, s.key, s.head_id FROM {SESSION} s WHERE"
    if follows:
        root = f"""SELECT {first} {meant_root(by_id=by_id, owner=shape.owner)} AND s.head_id IS NOT NULL
  AND {bound(shape.wait)}{_may_store(shape)} FOR NO KEY UPDATE"""
        which = "s.id = root.head_id AND s.workspace_id = root.workspace_id"
    else:
        named = f"SELECT s.key FROM {SESSION} s WHERE {BY_ID}" if by_id else "SELECT %(key)b"
        workspace = "%(workspace_id)b" if by_id else f"({NAMED_WORKSPACE})"
        root = f"""SELECT {first} s.workspace_id = {workspace} AND s.key = ({named}) AND {ROOT}{owned(shape.owner)}
  AND {bound(shape.wait)}{_may_store(shape)} FOR NO KEY UPDATE"""
        which = "s.workspace_id = root.workspace_id AND s.key = root.key AND s.parent_id IS NOT NULL AND " + (
            "s.id = %(session_id)b" if by_id else "s.branch = %(branch)b"
        )
    return f"""root AS ({root}), appended AS (
  UPDATE {SESSION} AS s SET {_COUNTERS}, {_ACTIVE}
  FROM root WHERE {which} AND s.deleted_at IS NULL AND s.pending NOT IN ('answered', 'edited') AND {_AT_VERSION}
    AND NOT EXISTS ({_known(shape)}){_shows_question(shape)}
  RETURNING {_columns("s")}, s.branch, root.id AS root_id
), active AS (
  UPDATE {SESSION} AS s SET {_ACTIVE}{_owned(shape)}
  FROM appended a WHERE s.id = a.root_id AND s.workspace_id = a.workspace_id
)"""


def _known(shape: Shape) -> str:
    """A query for messages of the call that the branch shares with an ancestor; the unique key covers its own messages.

    Up to FEW ids are parameters of their own: PostgreSQL estimates an array of unknown length as longer, and would
    then make a new plan on every call.
    """
    ids = "= ANY(%(client_id)b::text[])"
    if shape.rows:
        numbers = [""] if shape.rows == 1 else [f"_{row}" for row in range(1, shape.rows + 1)]
        ids = f"IN ({', '.join(f'%(client_id{number})b::text' for number in numbers)})"
    return f"""
    WITH RECURSIVE above(id, parent_id, fork_seq, high) AS (
      SELECT p.id, p.parent_id, p.fork_seq, s.fork_seq FROM {SESSION} p WHERE p.id = s.parent_id
      UNION ALL
      SELECT p.id, p.parent_id, p.fork_seq, a.fork_seq FROM above a JOIN {SESSION} p ON p.id = a.parent_id
    )
    SELECT 1 FROM above a CROSS JOIN LATERAL (
      SELECT FROM {MESSAGE} m
      WHERE m.session_id = a.id AND m.workspace_id = s.workspace_id AND m.seq <= a.high AND m.client_id {ids} OFFSET 0
    ) m"""  # OFFSET 0, as in statements.branch: without statistics PostgreSQL would read the whole table


def _owned(shape: Shape) -> str:
    """The assignments of the owner and the title, which a call may set if they are not set yet."""
    return (_CLAIM if shape.claims else "") + (_TITLE if shape.titled else "")


def _columns(table: str) -> str:
    return ", ".join(f"{table}.{column.strip()}" for column in RETURNED.split(","))


def _stored(shape: Shape) -> str:
    """CTEs that insert the messages and the rows beside them; ``session`` has the counters after the call."""
    columns = PLAIN_COLUMNS if shape.plain else MESSAGE_COLUMNS
    source, position, turn = "session", "session.last_seq", "session.last_turn"
    crossed = ""
    values = ", ".join(f"%({column})b::{TYPES[column]}" for column in columns)
    if shape.rows != 1:
        source = f"session, {_rows(columns, shape.rows)} AS m({', '.join(columns)}, turn, position)"
        position, turn = "session.last_seq - %(size)b + m.position", "session.last_turn - %(turns)b + m.turn"
        values = ", ".join(f"m.{column}" for column in columns)
    if shape.turn == HELD:
        turn, crossed = "%(under)b", "%(under)b < session.last_turn, "
    return f"""stored AS (
  INSERT INTO {MESSAGE} (workspace_id, session_id, seq, turn, {"crossed, " if crossed else ""}{", ".join(columns)})
  SELECT session.workspace_id, session.id, {position}, {turn}, {crossed}{values} FROM {source}{returning(shape.beside)}
){expressions(shape.beside)}{_taken(shape)}"""


def _taken(shape: Shape) -> str:
    """A CTE that stores the right to answer the question, in place of a row that an earlier question may have left."""
    if shape.turn not in (NEW, FOUND):
        return ""
    return f""", taken AS (
  INSERT INTO {TURN} (workspace_id, session_id, turn, seq, holder, lease_until, state)
  SELECT session.workspace_id, session.id, session.last_turn, session.last_seq, %(holder)b,
    {NOW} + %(lease)b, 'open' FROM session {OVERWRITE}
)"""


def _held(shape: Shape) -> str:
    """A CTE that renews the caller's right to the turn; a turn's row is always locked before the session's row."""
    if shape.turn != HELD:
        return ""
    return f"""held AS (
  UPDATE {TURN} AS t SET lease_until = {NOW} + %(lease)b, state = %(state_of_turn)b
  WHERE {of_turn("t")} AND t.turn = %(under)b AND t.holder = %(holder)b AND {bound(shape.wait)} RETURNING t.turn
), """


def _may_store(shape: Shape) -> str:
    """The additional condition on a conversation's first row for a call about a turn."""
    if shape.turn == HELD:
        return " AND EXISTS (SELECT 1 FROM held)"
    if shape.turn != FOUND:
        return ""
    return f""" AND (s.branch_number = 0 OR NOT EXISTS (
    SELECT 1 FROM {SESSION} f JOIN {MESSAGE} k ON k.session_id = f.id AND k.workspace_id = f.workspace_id
    WHERE f.workspace_id = s.workspace_id AND f.key = s.key AND k.client_id = %(client_id)b))"""


def _shows_question(shape: Shape) -> str:
    """The condition that the branch has not cleared the question of the turn since the turn was taken."""
    return " AND s.base_seq < %(asked_at)b" if shape.turn == HELD else ""


def _rows(columns: Sequence[str], number: int) -> str:
    """The messages of a call as rows: the columns, the turn counted within the call, and the number from 1."""
    if not number:
        arrays = ", ".join(f"%({column})b::{TYPES[column]}[]" for column in columns)
        return f"unnest({arrays}, %(turn)b::int8[]) WITH ORDINALITY"
    rows = (
        ", ".join([*(f"%({column}_{row})b::{TYPES[column]}" for column in columns), f"%(turn_{row})b::int8", f"{row}"])
        for row in range(1, number + 1)
    )
    return f"(VALUES {', '.join(f'({row})' for row in rows)})"
