"""Owns the journal of a workspace in memory: the order of the last changes, and which conversations were deleted."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from chat_memory.conf import settings


class Entry(NamedTuple):
    """The last change of a conversation; of a deleted one, only its id and the time of the deletion are kept."""

    number: int
    id: UUID
    key: str = ""
    gone_at: datetime | None = None

    @property
    def is_gone(self) -> bool:
        """Whether the conversation was deleted."""
        return self.gone_at is not None


class Journal:
    """The last change of each conversation; ``number`` is that of the newest change."""

    def __init__(self) -> None:
        self.number = 0
        self._entries: dict[UUID, Entry] = {}

    def note(self, ident: UUID, key: str) -> None:
        """Note that a conversation is new or changed."""
        self._put(Entry(self.number + 1, ident, key))

    def note_gone(self, ident: UUID, now: datetime) -> None:
        """Note that a conversation was deleted, and forget those deleted more than TOMBSTONE_DAYS and a day ago."""
        self._put(Entry(self.number + 1, ident, gone_at=now))
        before = now - timedelta(days=settings.tombstone_days + 1)
        for entry in [*self._entries.values()]:
            if entry.gone_at is not None and entry.gone_at < before:
                del self._entries[entry.id]

    def after(self, number: int) -> list[Entry]:
        """The entries that follow a number, in order."""
        return [entry for entry in self._entries.values() if entry.number > number]

    def copy(self) -> Journal:
        """The journal as it is now."""
        made = Journal()
        made.number, made._entries = self.number, {**self._entries}
        return made

    def _put(self, entry: Entry) -> None:
        self.number = entry.number
        self._entries.pop(entry.id, None)
        self._entries[entry.id] = entry
