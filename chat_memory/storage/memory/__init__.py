"""Owns the adapter that keeps conversations in this process; its states never change, so that readers need no lock."""

from chat_memory.storage.memory.adapter import MemoryAdapter

__all__ = ["MemoryAdapter"]
