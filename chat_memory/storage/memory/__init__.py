"""Owns the adapter that keeps conversations in this process, as immutable states that readers need no lock for."""

from chat_memory.storage.memory.adapter import MemoryAdapter

__all__ = ["MemoryAdapter"]
