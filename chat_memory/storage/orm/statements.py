"""Owns the text of the hot statements, append and what reads ask; it must not run them."""

from __future__ import annotations

from functools import cache

from chat_memory.models import Message, Session, Summary, Workspace
from chat_memory.storage.mapping import COLUMNS, READ_COLUMNS

SESSION = Session._meta.db_table
MESSAGE = Message._meta.db_table
WORKSPACE = Workspace._meta.db_table
SUMMARY = Summary._meta.db_table

TYPES = dict.fromkeys(COLUMNS, "text") | {"tokens": "int4", "created_at": "timestamptz"}
PLAIN_COLUMNS = ("client_id", "role", "content", "tokens", "created_at")
"""What a message of text alone needs; the other columns are then left out of the statement."""

BY_ID = "s.id = %(session_id)b AND s.workspace_id = %(workspace_id)b"
BY_NAME = (
    f"s.workspace_id = (SELECT w.id FROM {WORKSPACE} w WHERE w.slug = %(workspace)b) "
    "AND s.key = %(key)b AND s.branch = %(branch)b"
)
ROOT = "s.parent_id IS NULL AND s.deleted_at IS NULL"
PLAIN = f"{ROOT} AND s.head_id IS NULL"
"""A conversation that its root speaks for, as nearly all do: what else there is takes the longer way."""
CLAIM = (
    ", user_id = CASE WHEN s.user_key = '' THEN %(user_id)b ELSE s.user_id END"
    ", user_key = CASE WHEN s.user_key = '' THEN %(user_key)b ELSE s.user_key END"
)

TITLE = ", title = CASE WHEN s.title = '' AND s.last_turn = 0 THEN %(title)b ELSE s.title END"
NAMED = "AND (s.last_turn > 0 OR s.title <> '' OR %(turns)b::int8 = 0)"
"""Not a session that the call's first user would name: the locked path does that, once, with the title made up."""


@cache
def append(*, by_id: bool, single: bool, plain: bool, claim: bool, titled: bool) -> str:
    """Number and store the messages of one call, PostgreSQL: one statement, so one round trip and one short lock.

    The UPDATE waits for the row and then reads it anew (READ COMMITTED), so that positions are dense whoever else
    writes. No row comes back where the session is unknown, not at ``if_version``, or needs the locked path.
    """
    columns = PLAIN_COLUMNS if plain else COLUMNS
    if single:
        source, position, turn = "session", "session.last_seq", "session.last_turn"
        values = ", ".join(f"%({column})b::{TYPES[column]}" for column in columns)
    else:
        arrays = ", ".join(f"%({column})b::{TYPES[column]}[]" for column in columns)
        names = ", ".join(columns)
        source = f"session, unnest({arrays}, %(turn)b::int8[]) WITH ORDINALITY AS m({names}, turn, position)"
        position, turn = "session.last_seq - %(size)b + m.position", "session.last_turn - %(turns)b + m.turn"
        values = ", ".join(f"m.{column}" for column in columns)
    return f"""
WITH session AS (
  UPDATE {SESSION} AS s SET prev_vtoken = s.vtoken, vtoken = %(vtoken)b, version = s.version + 1,
    last_seq = s.last_seq + %(size)b, message_count = s.message_count + %(size)b,
    last_turn = s.last_turn + %(turns)b, updated_at = %(now)b{CLAIM if claim else ""}{TITLE if titled else ""}
  WHERE {BY_ID if by_id else BY_NAME} AND {PLAIN}
    AND (%(if_version)b::int8 IS NULL OR s.version = %(if_version)b::int8) {"" if titled else NAMED}
  RETURNING s.id, s.workspace_id, s.version, s.base_seq, s.last_seq, s.last_turn, s.prev_vtoken
), stored AS (
  INSERT INTO {MESSAGE} (workspace_id, session_id, seq, turn, state, {", ".join(columns)})
  SELECT session.workspace_id, session.id, {position}, {turn}, 'complete', {values} FROM {source}
)
SELECT id, workspace_id, version, base_seq, last_seq, prev_vtoken FROM session"""


HEADER = ("id", "workspace_id", "version", "vtoken", "base_seq", "last_seq")
SPOKEN_FOR = "CASE WHEN s.head_id IS NULL THEN 0 ELSE 1 END AS spoken_for"
"""Whether another branch speaks for the conversation: then there are no messages here, and the longer way is taken."""
OF_SESSION = (
    "m.session_id = (SELECT id FROM session WHERE spoken_for = 0) "
    "AND m.workspace_id = (SELECT workspace_id FROM session)"
)
SYSTEM = "AND m.role = 'system'"


def message_columns(table: str) -> str:
    """What is read of a message."""
    return ", ".join(f"{table}.{column}" for column in READ_COLUMNS)


def root(*more: str, by_id: bool) -> str:
    """The row of a conversation, as a CTE."""
    state = ", ".join(f"s.{column}" for column in (*HEADER, *more))
    where = f"{BY_ID if by_id else BY_NAME} AND {ROOT}"
    return f"session AS (SELECT {state}, {SPOKEN_FOR} FROM {SESSION} s WHERE {where})"


def header_row(*more: str) -> str:
    """The one row of a read that is no message."""
    header = " || ' ' || ".join(f"CAST({column} AS text)" for column in (*HEADER, *more))
    return f"SELECT {', '.join('NULL' for _ in READ_COLUMNS)}, {header} FROM session"


@cache
def peek(*, by_id: bool) -> str:
    """The header of a session, both vendors: the one row that tells whether a cached history is still the history."""
    columns = ", ".join(f"s.{column}" for column in HEADER)
    return f"SELECT {columns}, {SPOKEN_FOR} FROM {SESSION} s WHERE {BY_ID if by_id else BY_NAME} AND {ROOT}"


@cache
def summaries(*, by_id: bool) -> str:
    """What was said of a session so far, oldest first, both vendors; one row of NULL where there is nothing."""
    columns = ", ".join(f"k.{column}" for column in ("first_seq", "last_seq", "text", "model", "tokens", "created_at"))
    return f"""
SELECT {columns}, {SPOKEN_FOR} FROM {SESSION} s LEFT JOIN {SUMMARY} k ON k.workspace_id = s.workspace_id
  AND k.session_id = s.id AND k.text IS NOT NULL AND k.last_seq > s.base_seq AND k.last_seq <= s.last_seq
WHERE {BY_ID if by_id else BY_NAME} AND {ROOT} ORDER BY k.last_seq, k.id"""


@cache
def read(*, by_id: bool, newest: bool, bounded: bool, system: bool = False) -> str:
    """The messages of a span and the header of their session, both vendors: one statement, so one snapshot.

    One row has every message column NULL and the header, space-separated, in the last: a header of its own columns
    would cost as much on each of a thousand rows. The scalar subqueries let the index on (session, seq) be walked
    from either end, so that the cost does not grow with the session. Rows come in no promised order.
    """
    span = f"""
  SELECT {message_columns("m")}, NULL AS header FROM {MESSAGE} m
  WHERE {OF_SESSION} AND m.seq > (SELECT base_seq FROM session) AND m.seq > %(after)b AND m.seq < %(before)b
    {SYSTEM if system else ""}"""
    if bounded:
        span = f"SELECT * FROM ({span} ORDER BY m.seq {'DESC' if newest else 'ASC'} LIMIT %(size)b) AS span"
    return f"""
WITH {root(by_id=by_id)}
{header_row("spoken_for")}
UNION ALL {span}"""
