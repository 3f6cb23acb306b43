"""Owns the comparison of a cached entry with the rows it was copied from; it must not repair."""

from __future__ import annotations

from chat_memory.cache.codec import Damaged, decode
from chat_memory.cache.entry import Entry
from chat_memory.cache.policy import CachePolicy
from chat_memory.records import Header, Slice

NEVER_EXPIRES = -1
"""Redis' reply to PTTL for a key that never expires."""


def fault(entry: Entry, milliseconds_left: int, found: Slice, policy: CachePolicy) -> str:
    """What is wrong with an entry, which must have been read before the rows; "" if nothing is.

    An older version is not a fault: strict does not use such an entry, and bounded lets it expire. An entry is faulty
    if it has the version and the token of the row but other contents, or if in bounded it expires too late.

    Args:
        entry: the entry with all its messages.
        milliseconds_left: the time until it expires; -1: it never expires.
        found: the newest messages of the rows, at least as many as the entry has.
        policy: the cache settings of this process.
    """
    never = milliseconds_left == NEVER_EXPIRES
    if policy.mode == "bounded" and (never or milliseconds_left > policy.max_age * 1000):
        return "never expires" if never else f"expires in {milliseconds_left} ms, later than CACHE_MAX_AGE allows"
    row = found.header
    if row is None or entry.header is None or _state(entry.header) != _state(row):
        return ""
    if entry.header != row:
        return "has the version and token of its row, but another base_seq, last_seq or workspace"
    if entry.whole and len(entry.messages) != row.visible:
        return f"is marked as complete, but has {len(entry.messages)} of {row.visible} messages"
    try:
        messages = decode(entry.messages, entry.last_seq)
    except Damaged as error:
        return f"is damaged ({error})"
    newest = found.messages[len(found.messages) - len(messages) :]
    return "" if messages == newest else "has the version and token of its row, but other messages"


def _state(header: Header) -> tuple[object, ...]:
    return header.session_id, header.version, header.vtoken
