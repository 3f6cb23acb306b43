"""Owns the statements that append on PostgreSQL: each numbers and stores the messages of one call at once.

The UPDATE of a session waits for the row and then reads it anew (READ COMMITTED), so positions are dense whoever else
writes. No row comes back where the session is not there, is not at ``if_version``, or needs the locked path.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from chat_memory.fields import MESSAGE_COLUMNS, PLAIN_COLUMNS
from chat_memory.storage.orm.statements.tables import BY_ID, MESSAGE, ROOT, SESSION, WORKSPACE, meant_root

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
    listed_at = CASE WHEN s.listed_at > %(stale)b AND s.listed_at <= %(active)b THEN s.listed_at ELSE %(active)b END"""
"""The indexed time moves only where it lags by ACTIVITY_GRAIN: else the update would touch every index."""
_COUNTERS = """prev_vtoken = s.vtoken, vtoken = %(vtoken)b, version = s.version + 1,
    last_seq = s.last_seq + %(size)b, message_count = s.message_count + %(size)b, last_turn = s.last_turn + %(turns)b"""
FEW = 4
"""Up to so many messages are sent value by value: the driver takes longer to make arrays of them."""


class Shape(NamedTuple):
    """What of a call decides the text of its statement.

    Attributes:
        rows: how many messages, up to FEW: then each value is a parameter; 0: more, and each column is an array.
        plain: messages of text alone, whose other columns are left out.
        claims: whether the caller is a user, to whom a conversation of nobody falls.
        titled: whether the call brings a title.
    """

    rows: int
    plain: bool
    claims: bool
    titled: bool


@cache
def to_main(shape: Shape, *, by_id: bool, follows: bool) -> str:
    """Append to the first row of a conversation; ``follows``: only where it is the current branch."""
    return f"""
WITH {_main("session", shape, by_id=by_id, follows=follows)}, {_stored(shape)}
SELECT {RETURNED}, 'main' FROM session"""


@cache
def to_branch(shape: Shape, *, by_id: bool, follows: bool) -> str:
    """Append to the current branch of a conversation, or to one by its name; its first row becomes active with it."""
    return f"""
WITH {_branch(shape, by_id=by_id, follows=follows)}, session AS (SELECT {RETURNED}, branch FROM appended),
{_stored(shape)}
SELECT {RETURNED}, branch FROM session"""


@cache
def to_any(shape: Shape, user_type: str) -> str:
    """Append to a conversation by its names, whichever branch is current; make it, and its workspace, where it is not.

    It takes longer than each of the others does, and less than two of them.
    """
    return f"""
WITH {_main("main", shape, by_id=False, follows=True)}, {_branch(shape, by_id=False, follows=True)},
home AS (SELECT w.id FROM {WORKSPACE} w WHERE w.slug = %(workspace)b),
built AS (
  INSERT INTO {WORKSPACE} (slug, name, metadata, created_at)
  SELECT %(workspace)b, '', '{{}}', %(now)b WHERE %(may_build)b AND NOT EXISTS (SELECT 1 FROM home)
  ON CONFLICT DO NOTHING RETURNING id
), made AS (
  INSERT INTO {SESSION} (id, workspace_id, last_seq, last_turn, message_count, version, vtoken, prev_vtoken, updated_at,
    active_at, listed_at, base_seq, created_at, pinned, title_made, key, branch, user_id, user_key, title, tags,
    metadata)
  SELECT %(new_id)b, w.id, %(size)b, %(turns)b, %(size)b, 1, %(vtoken)b, 0, %(now)b,
    %(active)b, %(active)b, 0, %(now)b, false, %(title)b::text IS NOT NULL, %(key)b, 'main',
    %(user_id)b::{user_type}, %(user_key)b, COALESCE(%(title)b::text, ''), '[]', '{{}}'
  FROM (SELECT id FROM home UNION ALL SELECT id FROM built) w
  WHERE NOT EXISTS (SELECT 1 FROM main) AND NOT EXISTS (SELECT 1 FROM root)
  ON CONFLICT DO NOTHING RETURNING {RETURNED}, branch
), session AS (
  SELECT {RETURNED}, 'main' AS branch FROM main UNION ALL SELECT {RETURNED}, branch FROM appended
  UNION ALL SELECT {RETURNED}, branch FROM made
), {_stored(shape)}
SELECT {RETURNED}, branch FROM session"""


def _main(name: str, shape: Shape, *, by_id: bool, follows: bool) -> str:
    """The first row of a conversation, numbered on, under a name."""
    return f"""{name} AS (
  UPDATE {SESSION} AS s SET {_COUNTERS}, {_ACTIVE}{_owned(shape)}
  WHERE {meant_root(by_id=by_id)} {"AND s.head_id IS NULL" if follows else ""} AND {_AT_VERSION}
  RETURNING {_columns("s")}
)"""


def _branch(shape: Shape, *, by_id: bool, follows: bool) -> str:
    """The row of a branch, numbered on. The root is locked first, as in every other change of a conversation."""
    first = f"s.id, s.workspace_id, s.key, s.head_id FROM {SESSION} s WHERE"
    if follows:
        root = f"SELECT {first} {meant_root(by_id=by_id)} AND s.head_id IS NOT NULL FOR NO KEY UPDATE"
        which = "s.id = root.head_id AND s.workspace_id = root.workspace_id"
    else:
        named = f"SELECT s.key FROM {SESSION} s WHERE {BY_ID}" if by_id else "SELECT %(key)b"
        workspace = "%(workspace_id)b" if by_id else f"(SELECT w.id FROM {WORKSPACE} w WHERE w.slug = %(workspace)b)"
        root = f"""SELECT {first} s.workspace_id = {workspace} AND s.key = ({named}) AND {ROOT}
  FOR NO KEY UPDATE"""
        which = "s.workspace_id = root.workspace_id AND s.key = root.key AND s.parent_id IS NOT NULL AND " + (
            "s.id = %(session_id)b" if by_id else "s.branch = %(branch)b"
        )
    return f"""root AS ({root}), appended AS (
  UPDATE {SESSION} AS s SET {_COUNTERS}, {_ACTIVE}
  FROM root WHERE {which} AND s.deleted_at IS NULL AND {_AT_VERSION} AND NOT EXISTS ({_known(shape)})
  RETURNING {_columns("s")}, s.branch, root.id AS root_id
), active AS (
  UPDATE {SESSION} AS s SET {_ACTIVE}{_owned(shape)}
  FROM appended a WHERE s.id = a.root_id AND s.workspace_id = a.workspace_id
)"""


def _known(shape: Shape) -> str:
    """Whether a branch shares one of the messages already; its own are the business of the unique key.

    Ids come one by one where they are few: the planner takes an array that it does not know to be longer, and would
    then plan anew with every call.
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
    SELECT 1 FROM above a JOIN {MESSAGE} m ON m.session_id = a.id AND m.seq <= a.high
    WHERE m.workspace_id = s.workspace_id AND m.client_id {ids}"""


def _owned(shape: Shape) -> str:
    """What of the conversation itself a call may set once."""
    return (_CLAIM if shape.claims else "") + (_TITLE if shape.titled else "")


def _columns(table: str) -> str:
    return ", ".join(f"{table}.{column.strip()}" for column in RETURNED.split(","))


def _stored(shape: Shape) -> str:
    """The INSERT of the messages of the row ``session``, which holds the numbers after the call."""
    columns = PLAIN_COLUMNS if shape.plain else MESSAGE_COLUMNS
    source, position, turn = "session", "session.last_seq", "session.last_turn"
    values = ", ".join(f"%({column})b::{TYPES[column]}" for column in columns)
    if shape.rows != 1:
        source = f"session, {_rows(columns, shape.rows)} AS m({', '.join(columns)}, turn, position)"
        position, turn = "session.last_seq - %(size)b + m.position", "session.last_turn - %(turns)b + m.turn"
        values = ", ".join(f"m.{column}" for column in columns)
    return f"""stored AS (
  INSERT INTO {MESSAGE} (workspace_id, session_id, seq, turn, {", ".join(columns)})
  SELECT session.workspace_id, session.id, {position}, {turn}, {values} FROM {source}
)"""


def _rows(columns: Sequence[str], number: int) -> str:
    """The messages of a call as rows: the columns, the turn within the call, and the position from 1."""
    if not number:
        arrays = ", ".join(f"%({column})b::{TYPES[column]}[]" for column in columns)
        return f"unnest({arrays}, %(turn)b::int8[]) WITH ORDINALITY"
    rows = (
        ", ".join([*(f"%({column}_{row})b::{TYPES[column]}" for column in columns), f"%(turn_{row})b::int8", f"{row}"])
        for row in range(1, number + 1)
    )
    return f"(VALUES {', '.join(f'({row})' for row in rows)})"
