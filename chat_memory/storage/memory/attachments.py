"""Owns the in-memory part for attachments; the change that removes the last reference to one deletes it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from io import BytesIO
from typing import BinaryIO

from chat_memory.exceptions import AttachmentNotFound, SessionNotFound
from chat_memory.records import Address, Attachment
from chat_memory.storage.contract import AttachmentStore, Upload
from chat_memory.storage.memory.store import MemoryStore


class MemoryAttachments(AttachmentStore):
    """See ``AttachmentStore``."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def add(self, at: Address, upload: Upload) -> Attachment:
        """See ``AttachmentStore.add``; a caller cannot open a transaction here, so TransactionOpen is never raised."""
        data = upload.file.read()
        with self._store.transaction() as transaction:
            if transaction.find(at) is None:
                raise SessionNotFound(at.key, at.workspace)
            new = Attachment(upload.sha256, upload.size, upload.media_type, transaction.now.astimezone(UTC))
            return self._store.shelf.add(at.workspace, at.key, new, data, transaction.now)

    def find(self, at: Address, hashes: Collection[str] | None = None) -> list[Attachment]:
        """See ``AttachmentStore.find``."""
        shown = self._reached(at)
        wanted = shown if hashes is None else shown & set(hashes)
        found = [stored.attachment for sha256 in wanted if (stored := self._store.shelf.get(at.workspace, sha256))]
        return sorted(found, key=lambda each: (each.created_at, each.sha256))

    def open(self, at: Address, sha256: str) -> BinaryIO:
        """See ``AttachmentStore.open``."""
        stored = self._store.shelf.get(at.workspace, sha256) if sha256 in self._reached(at) else None
        if stored is None:
            raise AttachmentNotFound(at.key, sha256)
        return BytesIO(stored.data)

    def _reached(self, at: Address) -> set[str]:
        """The hashes that a conversation reaches."""
        view = self._store.find(at)
        return self._store.shelf.reached(view.conversation, datetime.now(UTC)) if view else set()
