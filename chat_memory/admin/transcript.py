"""Owns which messages a page of the transcript shows, by keyset on the position; it must not know how they look."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from chat_memory.admin.branches import View
from chat_memory.admin.presentation import Entry, entries_of

PAGE_SIZE = 100
_DIGITS = 18


class Page(msgspec.Struct, frozen=True):
    """A page of a transcript.

    Attributes:
        entries: the messages, oldest first.
        first: position of the first; 0 when there is none.
        last: position of the last; 0 when there is none.
        has_older: whether there are messages before ``first``.
        has_newer: whether there are messages after ``last``.
        at: the position asked for, to be marked.
    """

    entries: list[Entry]
    first: int
    last: int
    has_older: bool
    has_newer: bool
    at: int | None


def page_of(view: View, query: Mapping[str, Any]) -> Page:
    """The page a query string asks for: ``before`` or ``after`` a position, around ``at``, else the newest.

    Positions along a branch have no holes, so a page is a range of them, and the row tells what lies beyond it.
    """
    before, after, at = (_position(query.get(name)) for name in ("before", "after", "at"))
    if at is not None:
        after = max(at - PAGE_SIZE // 2 - 1, 0)
    low, high = _range(view, before, after)
    rows = view.messages(low, high)
    if not rows:
        return Page([], 0, 0, False, False, at)
    first, last = rows[0].seq, rows[-1].seq
    entries = entries_of(rows, view.former(first - 1, last))
    return Page(entries, first, last, first > view.row.base_seq + 1, last < view.row.last_seq, at)


def _range(view: View, before: int | None, after: int | None) -> tuple[int, int]:
    """The positions of a page: after the first number, up to the second."""
    if after is not None:
        low = max(after, view.row.base_seq)
        return low, low + PAGE_SIZE
    high = view.row.last_seq if before is None else min(view.row.last_seq, before - 1)
    return high - PAGE_SIZE, high


def _position(text: Any) -> int | None:
    """A position from the address; what is none asks for nothing."""
    return int(text) if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) <= _DIGITS else None
