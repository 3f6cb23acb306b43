"""Owns the formats of a conversation outside of the database; it must not touch files or the database."""
