"""Owns the SQL that limits a statement's wait for locks on PostgreSQL, and that for a conversation's waiting places."""

from __future__ import annotations

from functools import cache

_PLACE = "hashtextextended(%(conversation)b::text, slot)"
"""The number of an advisory lock; the slot is the seed, so that each has a number of its own."""


@cache
def bound(milliseconds: int) -> str:
    """A condition that always holds, and sets ``lock_timeout`` until the transaction ends; 0: it sets nothing.

    It is evaluated for a row before the row is locked. A lower ``lock_timeout`` stays as it is. It is written for
    speed: its cost depends mostly on the number of functions in it, whether they run or not.
    """
    if not milliseconds:
        return "TRUE"
    now = "current_setting('lock_timeout')"
    is_lower = f"{now} <> '0' AND {now}::interval < interval '{milliseconds} ms'"
    return f"(({is_lower}) OR set_config('lock_timeout', '{milliseconds}', true) <> '')"


def bound_now(milliseconds: int) -> str:
    """The same as a statement of its own, which returns the former ``lock_timeout``."""
    before = "(SELECT current_setting('lock_timeout') AS before OFFSET 0)"
    return f"SELECT before FROM {before} b WHERE {bound(milliseconds)}"


RESTORED = "SELECT set_config('lock_timeout', %(before)b::text, true)"
"""Restore the value of ``lock_timeout`` for the rest of the transaction."""

PLACE_TAKEN = f"""
SELECT (
  SELECT slot FROM generate_series(1, %(places)b::int8) AS slot WHERE pg_try_advisory_xact_lock({_PLACE}) LIMIT 1
)"""
"""Take one of the waiting places of a conversation until the transaction ends; NULL where none is free."""

IS_STUCK = f"""
SELECT EXISTS (
  SELECT 1 FROM generate_series(1, %(places)b::int8) AS slot
  JOIN pg_locks place ON place.locktype = 'advisory' AND place.granted AND place.objsubid = 1
    AND (place.classid::int8 << 32) | place.objid::int8 = {_PLACE}
    AND place.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
  CROSS JOIN LATERAL unnest(pg_blocking_pids(place.pid)) AS holder(pid)
  LEFT JOIN pg_stat_activity h ON h.pid = holder.pid
  LEFT JOIN pg_stat_activity w ON w.pid = place.pid
  WHERE COALESCE(h.xact_start, w.xact_start) < clock_timestamp() - %(age)b::int8 * interval '1 ms'
)"""
"""Whether the requests in the waiting places wait for a transaction that is older than an age in milliseconds."""
