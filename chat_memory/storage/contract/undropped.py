"""Owns the contract's part for remembering cache entries that could not be dropped."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Sequence
from datetime import datetime

import msgspec

from chat_memory.storage.contract.part import Part


class Undropped(msgspec.Struct, frozen=True):
    """How many outdated entries may be left in the cache, and until when.

    Attributes:
        entries: the maximum number.
        until: when the last of them expires by the settings; None: there is none, that time is past, or one stays until
            it is evicted.
    """

    entries: int = 0
    until: datetime | None = None


class UndroppedStore(Part):
    """The keys of entries that the cache could not drop, stored durably with the conversations."""

    attribute = "undropped"
    lack = "does not remember cache entries that could not be dropped"

    @abstractmethod
    def note(self, keys: Collection[str], until: datetime | None) -> None:
        """Remember keys whose entries may stay in the cache until then; None: until they are evicted."""

    @abstractmethod
    def settle(self, drop: Callable[[Sequence[str]], bool]) -> None:
        """Pass the keys to ``drop`` in batches, and forget each batch that it dropped, until it returns False.

        No key is forgotten because of its age: a handle may have given its entry a longer time to live than the
        settings do. A key that is noted again meanwhile is not forgotten either.
        """

    @abstractmethod
    def left(self) -> Undropped:
        """The entries that may be left now."""
