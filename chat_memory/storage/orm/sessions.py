"""Owns reads and changes of session rows; it must not touch single messages."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from chat_memory.exceptions import BranchInUse, SessionNotFound
from chat_memory.models import Session
from chat_memory.records import Address, Change, SessionRecord
from chat_memory.storage.orm.removal import remove
from chat_memory.storage.orm.rows import Rows, create, family, find as find_rows, lock, move, speak, touch
from chat_memory.storage.orm.transactions import own_or_callers, retrying

OF_BRANCH = frozenset({"branch", "message_count", "version", "vtoken", "last_seq", "base_seq", "last_turn"})
"""What of a record is the branch's own; all else is the conversation's."""


def to_record(root: Session, row: Session) -> SessionRecord:
    """The record of a conversation as one of its branches shows it; the workspace of the root must be loaded."""
    names = (name for name in SessionRecord.__struct_fields__ if name != "workspace")
    fields = {name: getattr(row if name in OF_BRANCH else root, name) for name in names}
    return SessionRecord(workspace=root.workspace.slug, **fields)


def get(alias: str, at: Address) -> SessionRecord | None:
    """The contract is ``SessionStore.get``."""
    rows = find_rows(alias, at)
    return to_record(*rows) if rows else None


def open_session(alias: str, at: Address, fields: Mapping[str, Any]) -> tuple[SessionRecord, bool]:
    """The contract is ``SessionStore.open``."""

    def write() -> tuple[SessionRecord, bool]:
        with own_or_callers(alias):
            known = get(alias, at)
            if known is not None:
                return known, False
            rows, made = create(alias, at, {**fields, "version": 1})
            return to_record(*rows), made

    return retrying(alias, write)


def update(alias: str, at: Address, fields: Mapping[str, Any]) -> SessionRecord:
    """The contract is ``SessionStore.update``."""

    def write() -> SessionRecord:
        with own_or_callers(alias):
            rows = lock(alias, at)
            if rows is None:
                raise SessionNotFound(f"there is no conversation {at.key!r} in workspace {at.workspace!r}")
            move(rows.root, **fields)
            if rows.row is not rows.root:
                move(rows.row)
            return to_record(*rows)

    return retrying(alias, write)


def clear(alias: str, at: Address) -> Change | None:
    """The contract is ``MessageStore.clear``: O(1), the rows stay until cleanup takes them."""

    def write() -> Change | None:
        with own_or_callers(alias):
            rows = lock(alias, at)
            if rows is None or rows.row.base_seq == rows.row.last_seq:
                return None
            before = rows.header
            after = move(rows.row, base_seq=before.last_seq, message_count=0, cleared_at=datetime.now(UTC))
            touch(rows)
            return Change(after, before.version, before.vtoken)

    return retrying(alias, write)


def delete(alias: str, at: Address) -> bool:
    """The contract is ``SessionStore.delete``: messages and branches go with the session."""

    def write() -> bool:
        with own_or_callers(alias):
            rows = lock(alias, at)
            if rows is None:
                return False
            ids = list(family(rows.root).values_list("pk", flat=True)) if at.means_whole else [_lone(rows)]
            remove(alias, ids, workspace_id=rows.root.workspace_id)
            return True

    return retrying(alias, write)


def _lone(rows: Rows) -> Any:
    """The id of a branch that may go: nothing hangs on it, and main speaks if it did.

    Raises:
        BranchInUse: other branches share messages of it.
    """
    root, row = rows
    others = sorted(family(root).filter(parent_id=row.pk).values_list("branch", flat=True))
    if others:
        raise BranchInUse(f"branch {row.branch!r} shares messages with {', '.join(map(repr, others))}")
    if root.head_id == row.pk:
        speak(root, row, root)
    return row.pk
