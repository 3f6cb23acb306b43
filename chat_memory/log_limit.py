"""Owns how often the same kind of trouble may be logged; the caller writes the log line."""

from __future__ import annotations

import time
from collections.abc import Callable

SECONDS = 60.0
"""Seconds between two log lines of the same kind."""


class LogLimit:
    """Allows one log line of each kind per SECONDS; ``clock`` returns seconds and never runs backwards."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next: dict[str, float] = {}

    def allows(self, kind: str) -> bool:
        """Whether a line of this kind may be written now; True starts the next waiting time."""
        now = self._clock()
        if now < self._next.get(kind, 0.0):
            return False
        self._next[kind] = now + SECONDS
        return True
