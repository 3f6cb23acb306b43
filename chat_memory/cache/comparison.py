"""Owns the comparison of a cached entry with the rows it claims to be a copy of; it must not repair."""

from __future__ import annotations

from chat_memory.cache.codec import Damaged, decode
from chat_memory.cache.entry import Entry
from chat_memory.cache.policy import CachePolicy
from chat_memory.records import Header, Slice

NO_END = -1
"""What Redis says of the life of a key that has no end."""


def fault(entry: Entry, life: int, found: Slice, policy: CachePolicy) -> str:
    """What is wrong with an entry that was read before the rows were; "" where nothing is.

    Being behind is no fault: strict refuses such an entry, and bounded lets it die. An entry that claims the version
    and the token of the row, and holds something else, is at fault.

    Args:
        entry: with all its messages.
        life: milliseconds it has left, -1 for no end.
        found: the newest messages of the rows, as many as an entry may hold.
        policy: the mode it was made in.
    """
    if policy.mode == "bounded" and (life == NO_END or life > policy.max_age * 1000):
        return "has no end" if life == NO_END else f"lives {life} ms more, beyond CACHE_MAX_AGE"
    row = found.header
    if row is None or entry.header is None or _state(entry.header) != _state(row):
        return ""
    if entry.header != row:
        return "claims other bounds than the row it was read at"
    if entry.whole and len(entry.messages) != row.visible:
        return "claims to be whole, and is not"
    try:
        messages = decode(entry.messages, entry.last_seq)
    except Damaged as error:
        return f"is damaged ({error})"
    newest = found.messages[len(found.messages) - len(messages) :]
    return "" if messages == newest else "holds other messages than the rows"


def _state(header: Header) -> tuple[object, ...]:
    return header.session_id, header.version, header.vtoken
