"""Owns the sums of what all processes have counted, one hash in Redis; it must not know what is counted."""

from __future__ import annotations

from collections.abc import Mapping

from chat_memory.cache.client import CacheClient

REMEMBERED = 24 * 3600
"""How long a batch that was added is known, in seconds: a flush that got no answer is tried again until then."""


def add_up(client: CacheClient, key: str, batch: str, counts: Mapping[str, int]) -> dict[str, int]:
    """Add the counts of a batch, once however often it arrives, and give the sums.

    Raises:
        Unavailable: Redis cannot say whether it did.
    """
    args = [part for name, count in counts.items() for part in (name, count)]
    # Not aloud: nobody's call suffers, and the Redis of a process that ends may have ended before it.
    answer = client.run("count", key, (REMEMBERED, *args), f"{key}:{batch}", aloud=False)
    return {name.decode(): int(count) for name, count in zip(answer[::2], answer[1::2], strict=True)}
