"""Owns the parts that sub-apps add to the adapter over Django's models, each registered by its app's ``ready()``."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from django.db.models import QuerySet

from chat_memory.records import Query
from chat_memory.storage.contract import SearchStore, VectorStore
from chat_memory.storage.orm.part import OrmPart


class OrmSearchStore(OrmPart, SearchStore):
    """The part for full text over Django's models, as ``chat_memory.search`` implements it."""

    @abstractmethod
    def narrowed(self, messages: QuerySet[Any], query: Query) -> QuerySet[Any]:
        """The given rows of messages that match a search, in any workspace."""


class OrmVectorStore(OrmPart, VectorStore):
    """The part for embeddings over Django's models, as ``chat_memory.vectors`` implements it."""


_search: list[type[OrmSearchStore]] = []
_vectors: list[type[OrmVectorStore]] = []


def add_search(part: type[OrmSearchStore]) -> None:
    """Make adapters over Django's models search with this part; called by the ``ready()`` of the sub-app."""
    _search[:] = [part]


def search(using: str | None) -> OrmSearchStore | None:
    """The part on a database alias; None: the sub-app is not installed."""
    return _search[0](using) if _search else None


def add_vectors(part: type[OrmVectorStore]) -> None:
    """Make adapters over Django's models keep embeddings with this part; called by the ``ready()`` of the sub-app."""
    _vectors[:] = [part]


def vectors(using: str | None) -> OrmVectorStore | None:
    """The part on a database alias; None: the sub-app is not installed."""
    return _vectors[0](using) if _vectors else None
