"""Owns the Redis cache of histories, an adapter around an adapter; the database stays the truth."""

from chat_memory.cache.adapter import CachedAdapter

__all__ = ["CachedAdapter"]
