"""Owns the settings of the cache in one object; it must not act on them."""

from __future__ import annotations

from typing import Literal

import msgspec

from chat_memory.cache.entry import LAYOUT


class CachePolicy(msgspec.Struct, frozen=True):
    """The settings CACHE, CACHE_TAIL, CACHE_TTL and CACHE_MAX_AGE; the last two are in seconds."""

    mode: Literal["strict", "bounded"]
    tail: int
    ttl: float | None
    max_age: float

    @property
    def format(self) -> str:
        """The layout, the mode and, in bounded, CACHE_MAX_AGE; entries of another format are not read."""
        return f"{LAYOUT:02}s" if self.mode == "strict" else f"{LAYOUT:02}b{self.max_age:g}"

    def ttl_for(self, cache_ttl: float | msgspec.UnsetType | None) -> float | None:
        """Seconds until an entry expires; None: never; 0: the session is not cached.

        ``cache_ttl`` is the value that the conversation was opened with; UNSET: CACHE_TTL is used.
        """
        return self.ttl if cache_ttl is msgspec.UNSET else cache_ttl

    @property
    def longest_life(self) -> float | None:
        """The longest life of an entry in seconds, a handle's own ``cache_ttl`` aside; None: until it is evicted."""
        return self.max_age if self.mode == "bounded" else self.ttl
