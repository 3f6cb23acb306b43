"""Owns what a conversation can do, over any adapter; it must not touch the ORM."""
