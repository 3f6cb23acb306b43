"""Owns the statements that remove the newest message on PostgreSQL: one locks the row, the next removes the message.

In READ COMMITTED the second one sees what was committed before the lock was granted; a single statement would not.
"""

from __future__ import annotations

from functools import cache

from chat_memory.models import Draft, Feedback, MessageChange, Redaction, Revision, Turn
from chat_memory.storage.orm.statements.tables import BY_ID, MESSAGE, SESSION, SUMMARY, meant_root, message_columns
from chat_memory.storage.orm.statements.waiting import bound

_LOCKED = ("id", "workspace_id", "version", "vtoken", "base_seq", "last_seq", "title_made", "head_id")
_OF_ROW = "x.session_id = %(session_id)b AND x.workspace_id = %(workspace_id)b"
_HUNG_ON = {table._meta.db_table: "x.seq = %(seq)b" for table in (Revision, Redaction, Feedback, Turn)}
_HUNG_ON[Draft._meta.db_table] = "(x.seq = %(seq)b OR (t.role = 'user' AND x.turn = t.turn))"
"""The tables whose rows are deleted with a message, and the condition; with a question, also the drafts of its turn."""

CHANGE = MessageChange._meta.db_table
NEXT_NUMBER = f"""(
    SELECT COALESCE(MAX(c.number), 0) + 1 FROM {CHANGE} c
    WHERE c.session_id = %(session_id)b AND c.workspace_id = %(workspace_id)b
  )"""  # the name of our own table
DIGEST = """substr(encode(sha256(convert_to(
    t.client_id || ' ' || CAST(EXTRACT(epoch FROM t.created_at) * 1000000 AS bigint), 'UTF8'
  )), 'hex'), 1, 16)"""
"""``syncing.digest`` of a message, in SQL."""


@cache
def locked(wait: int, *, by_id: bool, owner: str) -> str:
    """The root of a conversation, locked until the transaction ends; ``wait``: the lock timeout in milliseconds."""
    columns = ", ".join(f"s.{column}" for column in _LOCKED)
    meant = meant_root(by_id=by_id, owner=owner)
    return f"SELECT {columns} FROM {SESSION} s WHERE {meant} AND {bound(wait)} FOR NO KEY UPDATE"


@cache
def taken(others: tuple[tuple[str, str, str], ...]) -> str:
    """Delete the message at a position of a locked row, with all that belongs to it, and move the row's version.

    ``others`` are further tables, each with its columns for session row and position; the last columns of the result
    say for each whether it has rows of the message. No row is returned if a branch shares the message, if a title may
    have been made from it, or if it is a user's message in parts, which need not begin a turn.
    """
    hung_on = "".join(
        f"hung_on_{number} AS (DELETE FROM {table} x USING taken t WHERE {_OF_ROW} AND {hangs_on}), "
        for number, (table, hangs_on) in enumerate(_HUNG_ON.items())
    )
    noted = "".join(
        f', EXISTS (SELECT 1 FROM "{table}" n WHERE n."{row}" = %(session_id)b AND n."{position}" = %(seq)b)'
        for table, row, position in others
    )
    return f"""
WITH taken AS (
  DELETE FROM {MESSAGE} x WHERE {_OF_ROW} AND x.seq = %(seq)b AND NOT EXISTS (
    SELECT 1 FROM {SESSION} s WHERE s.parent_id = x.session_id AND s.workspace_id = x.workspace_id
      AND s.fork_seq >= %(seq)b
  ) AND NOT (x.role = 'user' AND (x.content IS NULL OR (%(titled)b AND x.turn = 1)))
  RETURNING {message_columns("x")}
), {hung_on}covered AS (
  DELETE FROM {SUMMARY} x USING taken t WHERE {_OF_ROW} AND x.first_seq <= %(seq)b AND x.last_seq >= %(seq)b
), noted AS (
  INSERT INTO {CHANGE} (workspace_id, session_id, number, "row", seq, vtoken, taken, changed_at)
  SELECT %(workspace_id)b, %(session_id)b, {NEXT_NUMBER}, %(session_id)b, %(seq)b, %(vtoken)b, {DIGEST}, %(now)b
  FROM taken t
), moved AS (
  UPDATE {SESSION} AS s SET prev_vtoken = s.vtoken, vtoken = %(vtoken)b, version = s.version + 1,
    last_seq = s.last_seq - 1, message_count = s.message_count - 1,
    last_turn = s.last_turn - CASE WHEN t.role = 'user' THEN 1 ELSE 0 END, updated_at = %(now)b,
    changed_at = CASE WHEN s.changed_at > %(unchanged)b THEN s.changed_at ELSE %(now)b END
  FROM taken t WHERE {BY_ID}
)
SELECT {message_columns("t")}{noted} FROM taken t"""
