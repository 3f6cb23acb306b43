"""Owns the storage of conversations: one contract, and one package per back end; it must not hold policy."""
