"""Owns the sums of the counters of all processes, one hash in Redis; it must not know what is counted."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from chat_memory.cache.client import CacheClient

REMEMBERED = 3600
"""Seconds that the number of a process' last batch is kept; a batch repeated within that time is not added twice."""


class SharedCounters:
    """The sums of one deployment, under one key."""

    def __init__(self, client: CacheClient, key: str) -> None:
        self._client = client
        self._key = key

    def add(self, process: str, batch: int, counts: Mapping[str, int]) -> dict[str, int]:
        """Add a process' next batch of counts and return the sums; a repeated batch number is added only once.

        Raises:
            Unavailable: Redis did not answer; the batch may or may not have been added.
        """
        args = [part for name, count in counts.items() for part in (name, count)]
        # Not logged: no caller is affected, and at the exit of a process its Redis may be stopped already.
        answer = self._client.run("count", self._key, (REMEMBERED, batch, *args), f"{self._key}:{process}", log=False)
        sums = {}
        for name, count in zip(answer[::2], answer[1::2], strict=True):
            with suppress(ValueError):  # a field that another program wrote
                sums[name.decode()] = int(count)
        return sums
