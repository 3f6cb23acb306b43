"""Owns which sessions the store has just confirmed to be which users', for reads without a query (rule 7)."""

from __future__ import annotations

from time import monotonic
from typing import Any
from uuid import UUID

from chat_memory.cache.entry import Entry
from chat_memory.records import Address
from chat_memory.storage.contract import Adapter

REMEMBERED = 10_000
"""At most this many sessions are remembered; when full, all are forgotten."""

Owned = tuple[UUID, Any, str]
"""The id of a session's row, and the owner's ``user_id`` and ``user_key``."""


class Owners:
    """The owners of sessions that the store has confirmed in the last ``seconds``.

    A session without an owner is not remembered, because it may get one at any moment; a session that has one keeps it.
    """

    def __init__(self, store: Adapter, seconds: float) -> None:
        self._store = store
        self._seconds = seconds
        self._ends: dict[Owned, float] = {}

    def let_see(self, at: Address, entry: Entry) -> bool:
        """Whether an entry may be shown to the address' user: only if it is of the user's own session.

        Raises:
            NotOwner: the session that the address names belongs to somebody else.
        """
        if not at.is_checked or entry.header is None:
            return True
        owned = (entry.header.session_id, at.user_id, at.user_key)
        return self._ends.get(owned, 0.0) > monotonic() or self._is_own(at, entry, owned)

    def _is_own(self, at: Address, entry: Entry, owned: Owned) -> bool:
        now = monotonic()
        record = self._store.sessions.get(at)
        if record is None or not record.user_key or not at.owns(record.user_id, record.user_key):
            return False
        header = self._store.messages.peek(at)
        if header is None or not entry.is_of(header.session_id):
            return False
        if len(self._ends) >= REMEMBERED:
            self._ends.clear()
        self._ends[owned] = now + self._seconds
        return True
