"""Owns the pagination of a transcript, by keyset on the position."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from chat_memory.admin.pages.shown_branch import ShownBranch
from chat_memory.admin.presentation import Entry, entries_of
from chat_memory.admin.stored_size import fitting

PAGE_SIZE = 100
PAGE_BYTES = 512 * 1024
"""A page has fewer messages if their stored texts together are longer than this, but always at least one."""
_DIGITS = 18


class Page(msgspec.Struct, frozen=True):
    """A page of a transcript.

    Attributes:
        entries: the messages, oldest first.
        first: the position of the first message; 0 where the page is empty.
        last: the position of the last message; 0 where the page is empty.
        has_older: whether there are messages before ``first``.
        has_newer: whether there are messages after ``last``.
        at: the requested position, which the page highlights; None where there is none.
    """

    entries: list[Entry]
    first: int
    last: int
    has_older: bool
    has_newer: bool
    at: int | None


def page_of(branch: ShownBranch, query: Mapping[str, Any]) -> Page:
    """The page that a query string requests: ``before`` or ``after`` a position, around ``at``, else the newest page.

    Positions on a branch have no gaps, so a page is a range of positions, and the branch's row tells what lies beyond.
    The page ends where the next message would not fit; the sizes are known before any text is loaded.
    """
    before, after, at = (position(query.get(name)) for name in ("before", "after", "at"))
    if at is not None:
        after = max(at - PAGE_SIZE // 2 - 1, 0)
    sizes = branch.sizes(*_range(branch, before, after))
    if not sizes:
        return Page([], 0, 0, False, False, at)
    start = _start([seq for seq, _size in sizes], after, at)
    oldest, newest = fitting([size for _seq, size in sizes], start, PAGE_BYTES)
    messages = branch.messages(sizes[oldest][0] - 1, sizes[newest][0])
    if not messages:
        return Page([], 0, 0, False, False, at)
    first, last = messages[0].seq, messages[-1].seq
    entries = entries_of(messages, branch.former(first - 1, last), branch.votes(first - 1, last))
    return Page(entries, first, last, first > branch.row.base_seq + 1, last < branch.row.last_seq, at)


def _start(positions: list[int], after: int | None, at: int | None) -> int:
    """The index of the message that the page must show: the requested one, else the first or the last."""
    if at is not None:
        return next((index for index, seq in enumerate(positions) if seq >= at), len(positions) - 1)
    return len(positions) - 1 if after is None else 0


def _range(branch: ShownBranch, before: int | None, after: int | None) -> tuple[int, int]:
    """The range of positions of a page: after the first number, up to and including the second."""
    if after is not None:
        low = max(after, branch.row.base_seq)
        return low, low + PAGE_SIZE
    high = branch.row.last_seq if before is None else min(branch.row.last_seq, before - 1)
    return high - PAGE_SIZE, high


def position(text: Any) -> int | None:
    """A position from the query string; None where the text is not a position."""
    return int(text) if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) <= _DIGITS else None
