"""Owns the statement that writes to a draft, and the clock by which drafts lapse: the database's own."""

from __future__ import annotations

from functools import cache

from chat_memory.models import Draft

DRAFT = Draft._meta.db_table
_CLOCKS = {
    "postgresql": "CAST(EXTRACT(EPOCH FROM statement_timestamp()) * 1000 AS bigint)",
    "sqlite": "CAST((julianday('now') - 2440587.5) * 86400000 AS integer)",
}


def now(vendor: str) -> str:
    """The present moment, in milliseconds since 1970."""
    return _CLOCKS[vendor]


@cache
def write(vendor: str) -> str:
    """Append a piece to a draft that has the expected length; no row is returned if there is no such draft."""
    return f"""
UPDATE {DRAFT} SET text = text || %(piece)b, length = length + %(size)b, touched = {now(vendor)}
WHERE id = %(number)b AND workspace_id = %(workspace_id)b AND length = %(length)b
RETURNING stop_asked"""
