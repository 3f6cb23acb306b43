"""Owns cached values of a store that has no versions to compare: filled under a lease, deleted on every write.

A value is used until it expires, counted from when the lease to fill it was given, which is before the store was read.
Only the holder of the lease may fill, and a deletion ends the lease, so that data read before a write is never cached
after it. A deletion that failed is owed: this process does not use the key again until it has deleted it; other
processes may read the old value until it expires.
"""

from __future__ import annotations

import logging
import secrets
from typing import Any

from chat_memory import metrics
from chat_memory.cache.client import CacheClient, Unavailable
from chat_memory.cache.entry import HEAVIEST, LAYOUT, Extent

FORMAT = f"{LAYOUT:02}value"
OWED = 10_000
"""The most keys that are remembered as owed; the oldest are forgotten first."""

logger = logging.getLogger("chat_memory.cache")


class LeasedValues:
    """The values of one Redis. Nothing raises if Redis fails; the caller then reads the store."""

    def __init__(self, client: CacheClient) -> None:
        self._client = client
        self._owed: dict[str, None] = {}

    def look(self, key: str) -> tuple[bytes | None, str]:
        """The value under a key, or a lease to fill it; (None, "") if there is neither."""
        try:
            if key in self._owed:
                self._drop(key)
            answer = self._client.run("lease", key, [FORMAT, lease := secrets.token_hex(8), 0, 2])
        except Unavailable:
            return None, ""
        value = _value(answer)
        metrics.add("misses" if value is None else "hits")
        return value, lease if value is None and _text(answer) == "lease" else ""

    def fill(self, key: str, lease: str, value: bytes, ttl: float | None) -> None:
        """Write what was read under a lease, for ``ttl`` seconds; None: until it is evicted."""
        if len(value) > HEAVIEST:
            return
        life = "" if ttl is None else max(1, round(ttl * 1000))
        try:
            answer = self._client.run("fill", key, [FORMAT, lease, 0, "", "", "", Extent.ALL.value, life, "0", value])
        except Unavailable:
            return
        metrics.add("fills" if _text(answer) == "filled" else "refused_fills")

    def drop(self, key: str) -> bool:
        """Delete the value under a key and the lease to fill it; False: Redis failed, and the deletion is owed."""
        try:
            self._drop(key)
        except Unavailable:
            self._owed.pop(key, None)
            self._owed[key] = None
            if len(self._owed) > OWED:
                del self._owed[next(iter(self._owed))]
            return False
        return True

    def _drop(self, key: str) -> None:
        self._client.drop(key)
        self._owed.pop(key, None)


def _value(answer: Any) -> bytes | None:
    """The value in an answer of lease.lua; the client may have decoded it to text."""
    if not isinstance(answer, list) or len(answer) != 2 or not isinstance(answer[1], list) or len(answer[1]) != 2:
        return None
    value = answer[1][0]
    return value.encode() if isinstance(value, str) else value if isinstance(value, bytes) else None


def _text(answer: Any) -> str:
    return answer.decode() if isinstance(answer, bytes) else str(answer)
