"""Owns the part that restores whole conversations into Django's models."""

from __future__ import annotations

from collections.abc import Sequence

from chat_memory.records import Address, Transcript
from chat_memory.storage.contract import ArchiveStore, Restored
from chat_memory.storage.orm.part import OrmPart
from chat_memory.storage.orm.restoring import restore


class OrmArchive(OrmPart, ArchiveStore):
    """Conversations as a whole in Django's models."""

    def restore(self, batch: Sequence[tuple[Address, Transcript]]) -> list[Restored]:
        """See ``ArchiveStore.restore``."""
        return restore(self._alias, batch)
