"""Owns the adapter's part that stores and compares embeddings over Django's models."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC
from typing import Any
from uuid import UUID

from django.db import connections

from chat_memory.records import Address, Relevant
from chat_memory.storage.contract import Unembedded, Vector
from chat_memory.storage.mapping import to_messages
from chat_memory.storage.orm.cursor import fetch, uuid_value
from chat_memory.storage.orm.rows import Rows, find
from chat_memory.storage.orm.sub_apps import OrmVectorStore
from chat_memory.vectors import comparing, keeping, statements


class OrmVectors(OrmVectorStore):
    """Embeddings in a table beside Django's models."""

    def unembedded(
        self, at: Address, model: str, dimensions: int, *, after: int = 0, size: int = 100
    ) -> list[Unembedded]:
        """See ``VectorStore.unembedded``."""
        alias, rows = self._alias, find(self._alias, at)
        if rows is None:
            return []
        shown = _shown(alias, rows, model, after) | {"dimensions": dimensions}
        found = keeping.unembedded_of_branch(alias, shown, rows.row.last_seq, size)
        conversation = rows.root.workspace_id, rows.root.key
        return [keeping.unembedded_of(row, conversation) for row in found]

    def unembedded_anywhere(
        self,
        model: str,
        workspace: str | None = None,
        *,
        after: tuple[UUID, int] | None = None,
        until: int | None = None,
        size: int = 100,
    ) -> list[Unembedded]:
        """See ``VectorStore.unembedded_anywhere``."""
        return keeping.unembedded(self._alias, model, workspace, after=after, until=until, size=size)

    def newest(self) -> int:
        """See ``VectorStore.newest``."""
        return keeping.newest(self._alias)

    def missing(self, model: str, workspace: str | None = None) -> int:
        """See ``VectorStore.missing``."""
        return keeping.missing(self._alias, model, workspace)

    def keep(self, model: str, embeddings: Sequence[tuple[Unembedded, Vector]], *, wait: bool = True) -> int:
        """See ``VectorStore.keep``."""
        return keeping.keep(self._alias, model, embeddings, wait=wait)

    def nearest(self, at: Address, model: str, vector: Vector, *, size: int) -> list[Relevant]:
        """See ``VectorStore.nearest``."""
        alias, connection, rows = self._alias, connections[self._alias], find(self._alias, at)
        if rows is None:
            return []
        scores = comparing.nearest(connection, vector, size, _shown(alias, rows, model, 0), rows.row.last_seq)
        ids = keeping.ids(connection.vendor, scores)
        params = {"workspace_id": rows.row.workspace_id, "ids": ids}
        found = fetch(connection, statements.messages(connection.vendor), params) if scores else []
        messages = to_messages(found, connection.timezone or UTC)
        return [Relevant(message, scores[row[-1]]) for message, row in zip(messages, found, strict=True)]

    def faults(self, rows: Collection[UUID], *, repair: bool = False) -> Mapping[UUID, str]:
        """See ``VectorStore.faults``."""
        return keeping.faults(self._alias, rows, repair=repair)

    def strays(self, workspace: str | None = None, *, repair: bool = False) -> int:
        """See ``VectorStore.strays``."""
        return keeping.strays(self._alias, workspace, repair=repair)


def _shown(alias: str, rows: Rows, model: str, after: int) -> dict[str, Any]:
    """The statements' parameters for the branch, the position after which to begin, and the model."""
    row = rows.row
    ids = {"session_id": uuid_value(connections[alias], row.pk), "workspace_id": row.workspace_id}
    return ids | {"after": max(after, row.base_seq), "model": model}
