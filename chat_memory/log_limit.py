"""Owns how often an event of the same kind is logged."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.utils.log import log_response

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


_busy = LogLimit()


def log_busy(logger: logging.Logger, request: HttpRequest | None, response: HttpResponse) -> None:
    """Log that a request was answered 503 because others held a lock: a warning once a minute, else for debugging.

    Django does not log a response that was logged here; otherwise it would log an error for each of many requests.
    """
    text = "chat_memory answered 503, since somebody else held a lock for too long: %s"
    level = "warning" if _busy.allows(logger.name) else "debug"
    path = request.path if request is not None else ""
    log_response(text, path, response=response, request=request, logger=logger, level=level)
