"""Owns the check of what sub-apps derive from messages: the full-text index, and embeddings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple
from uuid import UUID

from chat_memory.storage.contract import Adapter, SearchStore, VectorStore

Store = SearchStore | VectorStore


class Trouble(NamedTuple):
    """A fault: its session row (None: a row that does not exist), its kind, its description, and if it was repaired."""

    row: UUID | None
    what: str
    detail: str
    repaired: bool


class Beside:
    """The stores of the installed sub-apps in an adapter's database."""

    def __init__(self, adapter: Adapter) -> None:
        kept: list[tuple[str, str, Store | None]] = [
            ("search", "index", adapter.search),
            ("vectors", "table", adapter.vectors),
        ]
        self._kept = [(what, name, store) for what, name, store in kept if store is not None]

    def of_rows(self, rows: Sequence[UUID], *, repair: bool) -> Iterator[Trouble]:
        """The faults in what the sub-apps store for the messages of some session rows."""
        for what, name, store in self._kept:
            faults = store.faults(rows, repair=repair)
            left = store.faults(list(faults)) if faults and repair else faults
            for row in rows:
                if row in faults:
                    yield Trouble(row, what, f"{name} {faults[row]}", row not in left)

    def strays(self, workspace: str | None, *, repair: bool) -> Iterator[Trouble]:
        """The entries of sessions that do not exist."""
        for what, name, store in self._kept:
            number = store.strays(workspace, repair=repair)
            if number:
                yield Trouble(None, what, f"{name} has {number} entries of sessions that do not exist", repair)
