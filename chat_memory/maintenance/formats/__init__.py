"""Owns the forms of a conversation outside of the database; nothing here touches files or the database."""
