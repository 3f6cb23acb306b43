"""Owns how often the same trouble is worth a line in the log; it must not write any."""

from __future__ import annotations

import time

SECONDS = 60.0
"""In which one kind of trouble is told once."""


class Quiet:
    """Whether a kind of trouble is to be told, or was a moment ago."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def tells(self, kind: str) -> bool:
        """Whether it is time to tell of it, and if so, it is told."""
        now = time.monotonic()
        if now < self._until.get(kind, 0.0):
            return False
        self._until[kind] = now + SECONDS
        return True
