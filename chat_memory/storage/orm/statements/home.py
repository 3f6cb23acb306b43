"""Owns the statement that finds the workspace to which something is added, and holds it."""

from __future__ import annotations

from functools import cache

from chat_memory.storage.orm.statements.tables import NAMED_WORKSPACE
from chat_memory.storage.orm.statements.waiting import bound


@cache
def home(vendor: str, wait: int) -> str:
    """The id of a workspace by its slug.

    On PostgreSQL the row is held against its removal and another slug, as a foreign key to it holds it, until the
    transaction ends. ``wait``: how many milliseconds that may take. SQLite has one writer.
    """
    held = f" AND {bound(wait)} FOR KEY SHARE" if vendor == "postgresql" else ""
    return f"{NAMED_WORKSPACE}{held}"
