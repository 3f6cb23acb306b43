"""Owns the statements for syncing readers: the changes of a conversation, and those of a workspace's list."""

from __future__ import annotations

from functools import cache

from chat_memory.models import MessageChange, Tombstone
from chat_memory.storage.mapping import READ_COLUMNS
from chat_memory.storage.orm.statements.listing import COLUMNS, meets, recorded, until_heavy
from chat_memory.storage.orm.statements.read import OF_SESSION, root
from chat_memory.storage.orm.statements.tables import (
    LONG_COLUMNS,
    MESSAGE,
    SESSION,
    WORKSPACE,
    header_row,
    message_columns,
    until_full,
)

_CHANGE = MessageChange._meta.db_table
_TOMBSTONE = Tombstone._meta.db_table
_NEWEST_CHANGE = f"""COALESCE((
  SELECT CAST(c.number AS text) || ' ' || CAST(c.vtoken AS text) FROM {_CHANGE} c
  WHERE c.session_id = session.id AND c.workspace_id = session.workspace_id ORDER BY c.number DESC LIMIT 1
), '0 0')"""


@cache
def since(*, by_id: bool, owner: str, capped: bool, postgresql: bool) -> str:
    """The messages of ``main`` after a position, the one there without its texts, the header and the newest change.

    One statement, and so one snapshot. If another branch is current, only the header comes, followed by a 1.
    """
    seen = ", ".join("NULL" if column in LONG_COLUMNS else f"m.{column}" for column in READ_COLUMNS)
    span = f"""
  SELECT {message_columns("m")}, NULL AS header FROM {MESSAGE} m
  WHERE {OF_SESSION} AND m.seq > (SELECT base_seq FROM session) AND m.seq > %(after)b ORDER BY m.seq LIMIT %(size)b"""
    span = f"SELECT * FROM ({span}) AS span"
    if capped and postgresql:
        span = (
            f"SELECT {', '.join(READ_COLUMNS)}, NULL FROM ({until_full(span, newest=False, postgresql=True)}) AS capped"
        )
    return f"""
WITH {root(by_id=by_id, owner=owner)}
{header_row("on_branch", _NEWEST_CHANGE)}
UNION ALL SELECT {seen}, NULL FROM {MESSAGE} m WHERE {OF_SESSION} AND m.seq = %(after)b
UNION ALL {span}"""


MARK = {
    "postgresql": f"""
SELECT w.id, CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint), concat_ws('-',
  (SELECT oid FROM pg_database WHERE datname = current_database()), CAST('{SESSION}'::regclass AS oid),
  CASE WHEN pg_is_in_recovery() THEN '' ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END)
FROM {WORKSPACE} w WHERE w.slug = %(workspace)b""",
    "sqlite": f"SELECT w.id, 0, '' FROM {WORKSPACE} w WHERE w.slug = %(workspace)b",
}
"""The workspace, the number of the oldest open transaction, and a text that identifies this history of the database.

A backup that was restored elsewhere has other OIDs, and a server that was recovered to an earlier time has a higher
timeline number."""
_NEXT = "CAST(CAST(pg_snapshot_xmax(pg_current_snapshot()) AS text) AS bigint)"
_AGE = f"(({_NEXT} - CAST(CAST({{row}}.xmin AS text) AS bigint)) & 4294967295)"
_IS_NEW = f"({_AGE} <= {_NEXT} - %(bound)b OR {_AGE} > 2147483648)"
"""Whether a row was written by transaction %(bound)b or a later one; so was every row not yet committed at the mark.

A row has only the lower 32 bits of the number. For this transaction's own rows the difference is negative, and the
mask makes it very large."""


@cache
def changed(vendor: str, given: tuple[str, ...], *, capped: bool = False) -> str:
    """Conversations written since a mark, in the order of ``changed_at``, from a place on; see ``listing.find``."""
    new = f"AND {_IS_NEW.format(row='s')}" if vendor == "postgresql" else ""
    page = f"""
SELECT {recorded()}, s.changed_at
FROM {SESSION} s WHERE {meets(vendor, given)} AND s.changed_at >= %(low)b
  AND (s.changed_at, s.id) > (%(after)b, %(after_id)b) {new}
ORDER BY s.changed_at, s.id LIMIT %(size)b"""
    if not capped or vendor != "postgresql":
        return page
    return until_heavy(page, (*COLUMNS, "shown", "changed_at"), "changed_at, id")


@cache
def gone(vendor: str) -> str:
    """The conversations that were deleted since a mark, in the order of their deletion, from a place on."""
    new = f"AND {_IS_NEW.format(row='t')}" if vendor == "postgresql" else ""
    return f"""
SELECT t.session_id, t.gone_at, t.id FROM {_TOMBSTONE} t
WHERE t.workspace_id = %(workspace_id)b AND t.gone_at >= %(low)b AND (t.gone_at, t.id) > (%(after)b, %(number)b) {new}
ORDER BY t.gone_at, t.id LIMIT %(size)b"""
