"""Owns the adapter over Django's models on PostgreSQL and SQLite; it alone writes sessions and messages."""

from chat_memory.storage.orm.adapter import DjangoAdapter

__all__ = ["DjangoAdapter"]
