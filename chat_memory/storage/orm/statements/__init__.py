"""Owns the text of the hand-written SQL statements, one module per purpose; it must not run them."""
