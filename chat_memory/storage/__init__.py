"""Owns where conversations are kept: one contract (``base``), one adapter per module; it must not hold policy."""
