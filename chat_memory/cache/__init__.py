"""Owns the Redis cache of conversations: an adapter around another adapter, whose database stays the truth."""

from chat_memory.cache.adapter import CachedAdapter

__all__ = ["CachedAdapter"]
