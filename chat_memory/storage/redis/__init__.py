"""Owns the adapter whose only store is Redis or Valkey; ``chat_memory.cache`` is separate and uses other keys."""

from chat_memory.storage.redis.adapter import RedisAdapter
from chat_memory.storage.redis.keys import PREFIX

__all__ = ["PREFIX", "RedisAdapter"]
