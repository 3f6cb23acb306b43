"""Owns the names and conditions that the statements share."""

from __future__ import annotations

from chat_memory.models import Message, Session, Summary, Turn, Workspace
from chat_memory.records import Address
from chat_memory.storage.mapping import READ_COLUMNS

SESSION = Session._meta.db_table
MESSAGE = Message._meta.db_table
WORKSPACE = Workspace._meta.db_table
SUMMARY = Summary._meta.db_table
TURN = Turn._meta.db_table

BY_ID = "s.id = %(session_id)b AND s.workspace_id = %(workspace_id)b"
NAMED_WORKSPACE = f"SELECT w.id FROM {WORKSPACE} w WHERE w.slug = %(workspace)b"
"""The id of the workspace with a slug; further conditions may follow."""
BY_KEY = f"s.workspace_id = ({NAMED_WORKSPACE}) AND s.key = %(key)b"
ROOT = "s.branch = 'main' AND s.deleted_at IS NULL"
"""The condition for the root's row, worded so that the planner uses the unique index on keys, not one for lists."""
HEADER = ("id", "workspace_id", "version", "vtoken", "base_seq", "last_seq")
ON_BRANCH = "CASE WHEN s.head_id IS NULL THEN 0 ELSE 1 END AS on_branch"
"""1 if another branch than ``main`` is current, so that readers see that branch's messages; otherwise 0."""
SYSTEM = "AND m.role = 'system'"

LONG_COLUMNS = ("content", "parts", "tool_calls", "metadata", "extra")
"""The columns of a message whose texts may be long."""


def weight(table: str, *, postgresql: bool) -> str:
    """The size of a message in a page that is limited in bytes: its long texts, and a constant for the rest.

    PostgreSQL knows the length of a text that is stored outside of the row without reading the text.
    """
    length = "octet_length({})" if postgresql else "length(CAST({} AS BLOB))"
    lengths = (f"COALESCE({length.format(f'{table}.{column}')}, 0)" for column in LONG_COLUMNS)
    return " + ".join(("64", *lengths))


def until_full(rows: str, *, newest: bool, postgresql: bool) -> str:
    """The first messages of a query that fit into %(most)b bytes, but at least one."""
    own = weight("m", postgresql=postgresql)
    order = f"ORDER BY m.seq {'DESC' if newest else 'ASC'} ROWS UNBOUNDED PRECEDING"
    summed = f"SELECT m.*, {own} AS own, SUM({own}) OVER ({order}) AS spent FROM ({rows}) m"
    return f"SELECT * FROM ({summed}) m WHERE m.spent <= %(most)b OR m.spent = m.own"


_OWNED = {
    "": "",
    "user": " AND ({0}.user_id = %(user_id)b OR ({0}.user_id IS NULL AND {0}.user_key = ''))",
    "key": " AND {0}.user_id IS NULL AND NOT {0}.user_left AND {0}.user_key IN (%(user_key)b, '')",
}
"""The condition for a root's row that belongs to the user of a call or to nobody, by ``owner_of``."""


def owner_of(at: Address) -> str:
    """How the statements for an address compare the owner: "" not at all, "user" by the id, "key" by the key alone."""
    if not at.is_checked:
        return ""
    return "key" if at.user_id is None else "user"


def meant(*, by_id: bool, owner: str) -> str:
    """The condition for the row of a branch, by the ids that a handle remembers or by its names."""
    row = f"{BY_ID if by_id else f'{BY_KEY} AND s.branch = %(branch)b'} AND s.deleted_at IS NULL"
    if not owner:
        return row
    root = f"r.workspace_id = s.workspace_id AND r.key = s.key AND {ROOT.replace('s.', 'r.')}{owned(owner, 'r')}"
    return f"{row} AND EXISTS (SELECT 1 FROM {SESSION} r WHERE {root})"


def meant_root(*, by_id: bool, owner: str) -> str:
    """The condition for the root's row, by the ids that a handle remembers or by its names."""
    return f"{BY_ID if by_id else BY_KEY} AND {ROOT}{owned(owner)}"


def owned(owner: str, row: str = "s") -> str:
    """The condition that a root's row belongs to the user of the call or to nobody; "" where that does not matter."""
    return _OWNED[owner].format(row)


def message_columns(table: str) -> str:
    """The columns of a message that are read."""
    return ", ".join(f"{table}.{column}" for column in READ_COLUMNS)


def header_row(*more: str) -> str:
    """The header row: its message columns are NULL, and the last column has the header's values separated by spaces.

    ``more`` are expressions whose values follow the header.
    """
    header = " || ' ' || ".join(f"CAST({column} AS text)" for column in (*HEADER, *more))
    return f"SELECT {', '.join('NULL' for _ in READ_COLUMNS)}, {header} FROM session"
