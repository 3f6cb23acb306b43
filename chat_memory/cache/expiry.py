"""Owns what this process knows of how long entries live; it decides no answer, for a wrong guess only costs time."""

from __future__ import annotations

from time import monotonic

REMEMBERED = 10_000
"""At most this many keys are remembered; when full, all are forgotten."""


class Expiry:
    """Until when the entries that this process filled or read are in Redis, unless something removes them earlier."""

    def __init__(self) -> None:
        self._ends: dict[str, float] = {}

    def expects(self, key: str) -> bool:
        """Whether an entry should be there."""
        return self._ends.get(key, 0.0) > monotonic()

    def lasts(self, key: str, seconds: float) -> None:
        """The entry of a key lives for so long."""
        if len(self._ends) >= REMEMBERED:
            self._ends.clear()
        self._ends[key] = monotonic() + seconds

    def ended(self, key: str) -> None:
        """The key has no entry."""
        self._ends.pop(key, None)
