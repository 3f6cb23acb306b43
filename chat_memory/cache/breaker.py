"""Owns the circuit breaker: when Redis is not called after failures; it must not know what the calls do."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

FAILURES = 3
"""Consecutive failures that open the breaker."""
LONGEST = 5.0
"""The maximum seconds that the breaker stays open."""
SHORTEST = LONGEST / 10
"""The maximum seconds that the breaker stays open the first time."""
PROBE = 1.0
"""Seconds after which another probe may start although the last one has not reported its result.

A probe never reports if its thread died or the process forked."""


class Breaker:
    """The circuit breaker that the threads of a process share.

    It opens after FAILURES failures in a row and refuses calls for a pause. Then one call is let through as a probe:
    if it succeeds the breaker closes, if it fails the next pause begins. The pause doubles from SHORTEST to LONGEST,
    with jitter, so that many processes do not return to Redis at the same moment.
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
        """Whether a call may be made now; if so, the caller must then call ``succeeded`` or ``failed``."""
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
        """Whether the breaker is open: calls are refused, except for a probe."""
        return self._failures >= FAILURES

    def succeeded(self) -> bool:
        """Record that Redis answered; returns whether this closed the breaker."""
        if not self._failures:
            return False
        with self._lock:
            closed = self.is_open
            self._failures, self._probing, self._pause, self._until = 0, False, SHORTEST, 0.0
            return closed

    def failed(self) -> bool:
        """Record that Redis did not answer; returns whether this opened the breaker."""
        with self._lock:
            self._failures += 1
            opened = self._failures == FAILURES
            # Only a failed probe lengthens the pause. Calls that began before it opened fail too, and must not.
            if opened or self._probing:
                self._until = self._clock() + random.uniform(self._pause / 2, self._pause)  # noqa: S311  # jitter
                self._pause = min(self._pause * 2, LONGEST)
            self._probing = False
            self.openings += opened
            return opened
