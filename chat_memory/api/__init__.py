"""Owns the HTTP door, a DRF API over workspaces, sessions and messages; it must not hold rules of storage."""
