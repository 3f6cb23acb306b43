"""Owns when this process expects entries to expire; it decides no answer: a wrong guess only costs time."""

from __future__ import annotations

from time import monotonic

REMEMBERED = 10_000
"""At most this many keys are remembered; when full, all are forgotten."""


class Expiry:
    """The expiry times of the entries that this process filled or read; an entry may be removed earlier."""

    def __init__(self) -> None:
        self._ends: dict[str, float] = {}

    def expects(self, key: str) -> bool:
        """Whether an entry is expected under the key."""
        return self._ends.get(key, 0.0) > monotonic()

    def remember(self, key: str, seconds: float) -> None:
        """Record that the entry under the key expires in so many seconds."""
        if len(self._ends) >= REMEMBERED:
            self._ends.clear()
        self._ends[key] = monotonic() + seconds

    def forget(self, key: str) -> None:
        """Record that there is no entry under the key."""
        self._ends.pop(key, None)
