"""Owns the sums of what all processes have counted, one hash in Redis; it must not know what is counted."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from chat_memory.cache.client import CacheClient

REMEMBERED = 3600
"""Seconds that the number of a process' last batch is kept: a flush without an answer is tried again until then."""


class SharedCounters:
    """The counters of a deployment, under one key."""

    def __init__(self, client: CacheClient, key: str) -> None:
        self._client = client
        self._key = key

    def add(self, process: str, batch: int, counts: Mapping[str, int]) -> dict[str, int]:
        """Add the counts of a process' next batch, once however often it arrives, and give the sums.

        Raises:
            Unavailable: Redis cannot say whether it did.
        """
        args = [part for name, count in counts.items() for part in (name, count)]
        # Not aloud: nobody's call suffers, and the Redis of a process that ends may have ended before it.
        answer = self._client.run("count", self._key, (REMEMBERED, batch, *args), f"{self._key}:{process}", aloud=False)
        sums = {}
        for name, count in zip(answer[::2], answer[1::2], strict=True):
            with suppress(ValueError):  # a field that somebody else put there
                sums[name.decode()] = int(count)
        return sums
