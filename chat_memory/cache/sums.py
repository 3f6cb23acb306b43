"""Owns the sums of what all processes have counted, one hash in Redis; it must not know what is counted."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from chat_memory.cache.client import CacheClient

REMEMBERED = 3600
"""How long the last batch of a process is known, in seconds: a flush that got no answer is tried again until then."""


def add_up(client: CacheClient, key: str, process: str, batch: int, counts: Mapping[str, int]) -> dict[str, int]:
    """Add the counts of a process' next batch, once however often it arrives, and give the sums.

    Raises:
        Unavailable: Redis cannot say whether it did.
    """
    args = [part for name, count in counts.items() for part in (name, count)]
    # Not aloud: nobody's call suffers, and the Redis of a process that ends may have ended before it.
    answer = client.run("count", key, (REMEMBERED, batch, *args), f"{key}:{process}", aloud=False)
    found = {}
    for name, count in zip(answer[::2], answer[1::2], strict=True):
        with suppress(ValueError):  # what else somebody put there
            found[name.decode()] = int(count)
    return found
