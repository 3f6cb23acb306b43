"""Owns the names and conditions that the statements share."""

from __future__ import annotations

from chat_memory.models import Message, Session, Summary, Workspace
from chat_memory.storage.mapping import READ_COLUMNS

SESSION = Session._meta.db_table
MESSAGE = Message._meta.db_table
WORKSPACE = Workspace._meta.db_table
SUMMARY = Summary._meta.db_table

BY_ID = "s.id = %(session_id)b AND s.workspace_id = %(workspace_id)b"
BY_KEY = f"s.workspace_id = (SELECT w.id FROM {WORKSPACE} w WHERE w.slug = %(workspace)b) AND s.key = %(key)b"
ROOT = "s.branch = 'main' AND s.deleted_at IS NULL"
"""The condition for the root's row, worded so that the planner uses the unique index on keys, not one for lists."""
HEADER = ("id", "workspace_id", "version", "vtoken", "base_seq", "last_seq")
ON_BRANCH = "CASE WHEN s.head_id IS NULL THEN 0 ELSE 1 END AS on_branch"
"""1 if another branch than ``main`` is current, so that readers see that branch's messages; otherwise 0."""
SYSTEM = "AND m.role = 'system'"


def meant(*, by_id: bool) -> str:
    """The condition for the row of a branch, by the ids that a handle remembers or by its names."""
    return f"{BY_ID if by_id else f'{BY_KEY} AND s.branch = %(branch)b'} AND s.deleted_at IS NULL"


def meant_root(*, by_id: bool) -> str:
    """The condition for the root's row, by the ids that a handle remembers or by its names."""
    return f"{BY_ID if by_id else BY_KEY} AND {ROOT}"


def message_columns(table: str) -> str:
    """The columns that are read of a message."""
    return ", ".join(f"{table}.{column}" for column in READ_COLUMNS)


def header_row(*more: str) -> str:
    """The header row: its message columns are NULL, and the last column has the header's values separated by spaces.

    ``more`` are expressions whose values follow the header.
    """
    header = " || ' ' || ".join(f"CAST({column} AS text)" for column in (*HEADER, *more))
    return f"SELECT {', '.join('NULL' for _ in READ_COLUMNS)}, {header} FROM session"
