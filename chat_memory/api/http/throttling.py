"""Owns the API's rate limits, which are off until the host sets them; DRF does the counting."""

from __future__ import annotations

import logging
from typing import Any

from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.settings import api_settings
from rest_framework.throttling import UserRateThrottle
from rest_framework.views import APIView

from chat_memory.log_limit import LogLimit

READS, WRITES = "chat_memory_read", "chat_memory_write"

logger = logging.getLogger("chat_memory.api")
_log_limit = LogLimit()


class RateThrottle(UserRateThrottle):
    """Per user: ``DEFAULT_THROTTLE_RATES`` of DRF's settings under ``chat_memory_read`` and ``chat_memory_write``."""

    def get_rate(self) -> str | None:
        """The host's rate for the scope, read from the settings on each call; None where there is none."""
        rates: Any = api_settings.DEFAULT_THROTTLE_RATES
        rate: str | None = rates.get(self.scope)
        return rate

    def allow_request(self, request: Request, view: APIView) -> bool:
        """Whether the request is within the user's rate for reads or for writes.

        While the cache that counts the requests fails, every request is allowed, and the log says so once a minute.
        """
        self.scope = READS if request.method in SAFE_METHODS else WRITES
        self.rate = self.get_rate()
        self.num_requests, self.duration = self.parse_rate(self.rate)
        try:
            return super().allow_request(request, view)
        except Exception as error:  # noqa: BLE001  # whatever the client of the host's cache raises
            if _log_limit.allows("rates"):
                logger.warning("chat_memory limits no rates, since the cache fails: %s", type(error).__name__)
            return True
