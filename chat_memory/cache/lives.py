"""Owns what this process knows of how long entries live; it must not decide an answer: who guesses wrong asks twice."""

from __future__ import annotations

import time

REMEMBERED = 10_000
"""Of how many sessions it is known; then it begins anew."""


class Lives:
    """Until when the entries that this process filled or read are in Redis, unless something takes them earlier."""

    def __init__(self) -> None:
        self._ends: dict[str, float] = {}

    def expects(self, key: str) -> bool:
        """Whether an entry should be there."""
        return self._ends.get(key, 0.0) > time.monotonic()

    def lasts(self, key: str, seconds: float) -> None:
        """An entry is there for so long."""
        if len(self._ends) >= REMEMBERED:
            self._ends.clear()
        self._ends[key] = time.monotonic() + seconds

    def ended(self, key: str) -> None:
        """There is none."""
        self._ends.pop(key, None)
