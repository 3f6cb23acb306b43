"""The limit: the best hand-written statements on our own migrated tables, on raw psycopg, with the ids given."""

import random
import secrets
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg.types.numeric import Int8

COLUMNS = "seq, client_id, role, content, parts, name, tool_calls, tool_call_id, metadata, tokens, created_at, state"
BUMP = """
WITH s AS (
  UPDATE chat_memory_session SET prev_vtoken = vtoken, vtoken = %b, version = version + 1, last_seq = last_seq + %b,
    message_count = message_count + %b, last_turn = last_turn + %b, updated_at = %b, active_at = %b,
    listed_at = CASE WHEN listed_at > %b THEN listed_at ELSE %b END
  WHERE id = %b RETURNING last_seq, last_turn)
INSERT INTO chat_memory_message
  (workspace_id, session_id, seq, turn, state, client_id, role, content, tokens, created_at)
"""
APPEND_ONE = BUMP + "SELECT %b, %b, last_seq, last_turn, 'complete', %b, %b, %b, %b, %b FROM s RETURNING seq"
APPEND_MANY = (
    BUMP
    + """SELECT %b, %b, last_seq - %b + m.position, last_turn - %b + m.turn, 'complete', m.id, m.role, m.text,
  m.tokens, %b
FROM s, unnest(%b::text[], %b::text[], %b::text[], %b::int4[], %b::int8[])
  WITH ORDINALITY AS m(id, role, text, tokens, turn, position)"""
)
TAIL = f"SELECT {COLUMNS} FROM chat_memory_message WHERE session_id = %b ORDER BY seq DESC LIMIT 20"
ROW = "SELECT id, workspace_id, version, vtoken, base_seq, last_seq FROM chat_memory_session WHERE id = %b"
ALL = f"SELECT {COLUMNS} FROM chat_memory_message WHERE session_id = %b ORDER BY seq"

FIRST = """
WITH s AS (
  INSERT INTO chat_memory_session (id, workspace_id, key, branch, user_key, title, title_made, tags, metadata, last_seq,
    base_seq, last_turn, message_count, version, vtoken, prev_vtoken, pinned, key_from_client, user_left, created_at,
    updated_at, active_at, listed_at)
  VALUES (%b, %b, %b, 'main', '', %b, true, '[]', '{}', %b, 0, %b, %b, 1, %b, 0, false, false, false, %b, %b, %b, %b)
  RETURNING id, workspace_id)
INSERT INTO chat_memory_message
  (workspace_id, session_id, seq, turn, state, client_id, role, content, tokens, created_at)
SELECT s.workspace_id, s.id, m.position, m.turn, 'complete', m.id, m.role, m.text, m.tokens, %b
FROM s, unnest(%b::text[], %b::text[], %b::text[], %b::int4[], %b::int8[])
  WITH ORDINALITY AS m(id, role, text, tokens, turn, position)"""

SIZES = (50, 120, 300, 700, 1500, 4000)
NARROW = """
CREATE TABLE IF NOT EXISTS narrow_session (id bigint PRIMARY KEY, n bigint NOT NULL);
CREATE TABLE IF NOT EXISTS narrow_message (
  session_id bigint NOT NULL, seq bigint NOT NULL, role text NOT NULL, content text NOT NULL,
  created_at timestamptz NOT NULL, PRIMARY KEY (session_id, seq));
INSERT INTO narrow_session VALUES (1, 0) ON CONFLICT DO NOTHING"""
NARROW_APPEND = """
WITH s AS (UPDATE narrow_session SET n = n + 1 WHERE id = 1 RETURNING n)
INSERT INTO narrow_message SELECT 1, n, %b, %b, %b FROM s"""
NARROW_APPEND_MANY = """
WITH s AS (UPDATE narrow_session SET n = n + %b WHERE id = 1 RETURNING n)
INSERT INTO narrow_message SELECT 1, n - %b + m.position, m.role, m.text, %b
FROM s, unnest(%b::text[], %b::text[]) WITH ORDINALITY AS m(role, text, position)"""

_random = random.Random(20)
_TEXTS = ["".join(_random.choices("abcdefgh ", k=size)) for size in SIZES]


def text() -> str:
    """A message of 50 B to 4 KB."""
    return _random.choice(_TEXTS)


def role(index: int) -> str:
    """User and assistant by turns."""
    return "assistant" if index % 2 else "user"


def _columns(size: int) -> tuple[list[Any], ...]:
    """The columns of so many messages, users and assistants by turns."""
    return (
        [str(uuid.uuid4()) for _ in range(size)],
        [role(index) for index in range(size)],
        [text() for _ in range(size)],
        [10] * size,
        [index // 2 + 1 for index in range(size)],
    )


class Limit:
    """Raw psycopg on one session."""

    def __init__(self, url: str, session: uuid.UUID, workspace: int) -> None:
        # The index walk is the best plan here; a planner with young statistics sometimes takes another.
        plan = "-c enable_bitmapscan=off -c enable_seqscan=off -c enable_sort=off"
        self._connection = psycopg.connect(url, autocommit=True, prepare_threshold=0, options=plan)
        self._session = session
        self._workspace = Int8(workspace)

    def close(self) -> None:
        self._connection.close()

    def append_one(self) -> None:
        now = datetime.now(UTC)
        one = Int8(1)
        message = (self._workspace, self._session, str(uuid.uuid4()), "user", text(), Int8(10), now)
        self._run(APPEND_ONE, (*self._bump(one, one, now), *message))

    def append_many(self, size: int) -> None:
        now = datetime.now(UTC)
        turns = Int8(size // 2)
        values = (self._workspace, self._session, Int8(size), turns, now, *_columns(size))
        self._run(APPEND_MANY, (*self._bump(Int8(size), turns, now), *values))

    def first(self, size: int) -> None:
        """A new conversation with so many messages."""
        now = datetime.now(UTC)
        many, turns = Int8(size), Int8(size // 2)
        session = (uuid.uuid4(), self._workspace, uuid.uuid4().hex, "a title", many, turns, many)
        times = (Int8(secrets.randbits(62)), now, now, now, now)
        self._run(FIRST, (*session, *times, now, *_columns(size)))

    def _bump(self, size: Int8, turns: Int8, now: datetime) -> tuple[Any, ...]:
        recent = now - timedelta(seconds=15)
        return (Int8(secrets.randbits(62)), size, size, turns, now, now, recent, now, self._session)

    def tail(self) -> list[tuple[Any, ...]]:
        return self._run(TAIL, (self._session,))

    def row(self) -> list[tuple[Any, ...]]:
        return self._run(ROW, (self._session,))

    def all(self) -> list[tuple[Any, ...]]:
        return self._run(ALL, (self._session,))

    def narrow_append(self) -> None:
        self._run(NARROW_APPEND, ("user", text(), datetime.now(UTC)))

    def narrow_append_many(self, size: int) -> None:
        many = Int8(size)
        roles, texts = [role(index) for index in range(size)], [text() for _ in range(size)]
        self._run(NARROW_APPEND_MANY, (many, many, datetime.now(UTC), roles, texts))

    def set_up_narrow(self) -> None:
        self._connection.execute(NARROW, prepare=False)

    def _run(self, statement: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
        cursor = psycopg.Cursor(self._connection)
        cursor.execute(statement, params, binary=True)
        return cursor.fetchall() if cursor.description else []
