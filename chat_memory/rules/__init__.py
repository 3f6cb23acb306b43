"""Owns the rules for messages, sessions, names and numbers, as pure functions; it must not read or write a store."""
