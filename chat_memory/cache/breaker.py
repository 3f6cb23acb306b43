"""Owns when Redis is left alone after failures; it must not know what the calls do."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

FAILURES = 3
"""Consecutive failures that open the breaker."""
LONGEST = 5.0
"""The longest it stays open, in seconds."""
SHORTEST = LONGEST / 10
"""The longest it stays open the first time, in seconds."""
PROBE = 1.0
"""Seconds until a probe is given up that never reported how it ended, since its thread died or the process forked."""


class Breaker:
    """Shared by the threads of a process: open after some failures, then one caller probes, then closed or open again.

    The pause doubles from SHORTEST to LONGEST, with jitter, so that a fleet does not come back as one.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._pause = SHORTEST
        self._until = 0.0
        self._probing = False
        self.openings = 0

    def allows(self) -> bool:
        """Whether a call may be tried now; the caller must then say ``succeeded`` or ``failed``."""
        if self._failures < FAILURES:
            return True
        with self._lock:
            now = self._clock()
            if now < self._until:
                return False
            self._probing, self._until = True, now + PROBE
            return True

    @property
    def is_open(self) -> bool:
        """Whether calls are refused, or about to be probed."""
        return self._failures >= FAILURES

    def succeeded(self) -> bool:
        """Redis answered; whether that closed the breaker just now."""
        if not self._failures:
            return False
        with self._lock:
            closed = self.is_open
            self._failures, self._probing, self._pause, self._until = 0, False, SHORTEST, 0.0
            return closed

    def failed(self) -> bool:
        """Redis did not answer; whether that opened the breaker just now."""
        with self._lock:
            self._failures += 1
            opened = self._failures == FAILURES
            # Of many calls that were under way when it opened, none makes the pause longer: only a probe does.
            if opened or self._probing:
                self._until = self._clock() + random.uniform(self._pause / 2, self._pause)  # noqa: S311  # jitter
                self._pause = min(self._pause * 2, LONGEST)
            self._probing = False
            self.openings += opened
            return opened
