"""Owns taking the newest message off a branch, under the lock of its conversation."""

from __future__ import annotations

from typing import Any

from chat_memory.choices import Role
from chat_memory.exceptions import BranchInUse
from chat_memory.models import Message as MessageRow, Session
from chat_memory.records import Address, Change, Commit
from chat_memory.storage.changed import Kind
from chat_memory.storage.orm import removal
from chat_memory.storage.orm.derived import forget_summaries, record_of, remade_title, set_title
from chat_memory.storage.orm.emission import changed_row
from chat_memory.storage.orm.lineage import Lineage, lineage
from chat_memory.storage.orm.rows import Rows, family, lock, move, touch
from chat_memory.storage.orm.transactions import own_or_callers, owns_transaction, retrying


def pop(alias: str, at: Address) -> Commit | None:
    """Take the newest message off; the contract is ``MessageStore.pop``."""
    nested = not owns_transaction(alias)

    def write() -> Commit | None:
        with own_or_callers(alias):
            rows = lock(alias, at)
            line = rows and lineage(rows.row)
            stored = line and line.message_at(line.row.last_seq)
            if rows is None or line is None or stored is None:
                return None
            return _taken_off(alias, at, rows, line, stored, nested=nested)

    return retrying(alias, write)


def _taken_off(alias: str, at: Address, rows: Rows, line: Lineage, stored: MessageRow, *, nested: bool) -> Commit:
    root, row = rows
    before, seq = rows.header, stored.seq
    message = record_of(alias, stored)
    own = stored.session_id == row.pk
    title = None
    fields: dict[str, Any] = {}
    if own:
        _check_not_shared(row, seq)
        title = remade_title(root, [stored], message, None)
        same = MessageRow.objects.using(alias).filter(pk=stored.pk, workspace_id=row.workspace_id)
        removal.remove_messages(alias, same)
    else:  # the branch shares one message less, and perhaps nothing more of the row that it hung on
        fields = {"fork_seq": seq - 1, "parent_id": line.owner(seq - 1)}
    forget_summaries(alias, row.workspace_id, {row.pk: seq})
    if title is not None:
        set_title(alias, at, root, title, alone=row is not root, nested=nested)
    turn = stored.turn - (stored.role == Role.USER.value)
    after = move(row, last_seq=seq - 1, message_count=row.message_count - 1, last_turn=turn, **fields)
    touch(rows)
    changed_row(alias, Kind.POPPED, at, row, after, first_seq=seq, last_seq=seq, nested=nested)
    return Commit((message,), after, Change(after, before.version, before.vtoken))


def _check_not_shared(row: Session, seq: int) -> None:
    """A message goes only where no other branch shows it.

    Raises:
        BranchInUse: one does.
    """
    children = family(row).filter(parent_id=row.pk, fork_seq__gte=seq)
    others = sorted(children.values_list("branch", flat=True))
    if others:
        raise BranchInUse(row.branch, others)
