"""Owns the choice of which stored texts fit into a page, by their sizes."""

from __future__ import annotations

from collections.abc import Sequence


def fitting(sizes: Sequence[int], start: int, room: int) -> tuple[int, int]:
    """The largest range of elements around ``start`` whose sizes fit into ``room``; the one at ``start`` always fits.

    The range grows by one element at each end in turn, until the next one does not fit or there is none.
    """
    first = last = start
    room -= sizes[start]
    grows = True
    while grows:
        grows = False
        if last + 1 < len(sizes) and sizes[last + 1] <= room:
            last, grows = last + 1, True
            room -= sizes[last]
        if first > 0 and sizes[first - 1] <= room:
            first, grows = first - 1, True
            room -= sizes[first]
    return first, last
