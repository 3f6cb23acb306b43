"""Owns the removal of the newest message from a branch, under the lock of its conversation."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Q

from chat_memory.choices import CURRENT, MAIN_BRANCH
from chat_memory.exceptions import BranchInUse
from chat_memory.models import Draft, Message as MessageRow, Session, Turn
from chat_memory.records import Address, Change, Commit, Header
from chat_memory.rules.calls import starts_turn
from chat_memory.storage.changed import Kind
from chat_memory.storage.mapping import READ_COLUMNS, to_messages
from chat_memory.storage.orm import removal
from chat_memory.storage.orm.cursor import fetch, user_value
from chat_memory.storage.orm.derived import forget_summaries, record_of, remade_title, set_title
from chat_memory.storage.orm.emission import changed_branch, changed_row
from chat_memory.storage.orm.lineage import Lineage, lineage
from chat_memory.storage.orm.message_changes import note_taken
from chat_memory.storage.orm.rows import Rows, family, grain, lock, move, new_token, touch
from chat_memory.storage.orm.statements import pop as statements
from chat_memory.storage.orm.statements.tables import owner_of
from chat_memory.storage.orm.transactions import run_write
from chat_memory.storage.orm.waiting import milliseconds


class Locked(NamedTuple):
    """The first row of a conversation, as ``statements.locked`` returns it."""

    id: UUID
    workspace_id: int
    version: int
    vtoken: int
    base_seq: int
    last_seq: int
    title_made: bool
    head_id: UUID | None


def pop(alias: str, at: Address) -> Commit | None:
    """Remove the newest message; the contract is ``MessageStore.pop``."""
    others = removal.others_by_place() if at.means_whole and connections[alias].vendor == "postgresql" else None

    def write(*, nested: bool) -> Commit | None:
        found = None if others is None else _at_once(alias, at, others, nested=nested)
        return found or _step_by_step(alias, at, nested=nested)

    return run_write(alias, write, at=at)


def _at_once(alias: str, at: Address, others: Sequence[removal.Dependent], *, nested: bool) -> Commit | None:
    """Pop by one statement under the lock; None if that is not enough, or there is no message."""
    connection = connections[alias]
    row = _locked(connection, at)
    if row is None or (row.head_id is not None and at.branch == CURRENT) or row.base_seq == row.last_seq:
        return None
    seq, token = row.last_seq, new_token()
    ids = {"session_id": row.id, "workspace_id": row.workspace_id}
    now = datetime.now(UTC)
    values = {"seq": seq, "titled": row.title_made, "vtoken": token, "now": now, "unchanged": now - grain()}
    tables = tuple(other.place for other in others if other.place)
    found = fetch(connection, statements.taken(tables), ids | values)
    if not found:
        return None
    for other, has_rows in zip(others, found[0][len(READ_COLUMNS) :], strict=True):
        if has_rows:
            other.remove(alias, other.at(alias, row.id, seq))
    messages = to_messages(found, connection.timezone or UTC)
    after = Header(row.id, row.workspace_id, row.version + 1, token, row.base_seq, seq - 1)
    positions = {"first_seq": seq, "last_seq": seq}
    changed_branch(alias, Kind.POPPED, at, row.id, MAIN_BRANCH, header=after, nested=nested, **positions)
    return Commit(tuple(messages), after, Change(after, row.version, row.vtoken), MAIN_BRANCH)


def _locked(connection: BaseDatabaseWrapper, at: Address) -> Locked | None:
    """Lock the root of a conversation, by the ids that a handle remembers, or by its names if the ids find nothing."""
    owner, user = owner_of(at), {"user_id": user_value(connection, at.user_id), "user_key": at.user_key}
    wait = milliseconds()
    if at.session_id is not None:
        ids = {"session_id": at.session_id, "workspace_id": at.workspace_id}
        found = fetch(connection, statements.locked(wait, by_id=True, owner=owner), ids | user, brief=True)
        if found or at.pinned:
            return Locked(*found[0]) if found else None
    names = {"workspace": at.workspace, "key": at.key}
    found = fetch(connection, statements.locked(wait, by_id=False, owner=owner), names | user, brief=True)
    return Locked(*found[0]) if found else None


def _step_by_step(alias: str, at: Address, *, nested: bool) -> Commit | None:
    rows = lock(alias, at)
    line = rows and lineage(rows.row)
    stored = line and line.message_at(line.row.last_seq)
    if rows is None or line is None or stored is None:
        return None
    return _taken_off(alias, at, rows, line, stored, nested=nested)


def _taken_off(alias: str, at: Address, rows: Rows, line: Lineage, stored: MessageRow, *, nested: bool) -> Commit:
    root, row = rows
    before, seq = rows.header, stored.seq
    message = record_of(alias, stored)
    own = stored.session_id == row.pk
    title = None
    fields: dict[str, Any] = {}
    if own:
        _check_not_shared(row, seq)
        title = remade_title(alias, root, [stored], None)
        same = MessageRow.objects.using(alias).filter(pk=stored.pk, workspace_id=row.workspace_id)
        removal.remove_messages(alias, same)
    else:  # the branch shares one message less, so its parent changes if it shares none of the parent's own messages
        fields = {"fork_seq": seq - 1, "parent_id": line.owner(seq - 1)}
        removal.remove_from(alias, Draft, Q(session_id=row.pk, seq=seq), row.workspace_id)
    forget_summaries(alias, row.workspace_id, {row.pk: seq})
    if starts_turn(message):  # the right to answer the question and the drafts of its turn are deleted with it
        for model, where in ((Turn, Q(seq=seq)), (Draft, Q(turn=message.turn))):
            removal.remove_from(alias, model, where & Q(session=row), row.workspace_id)
    if title is not None:
        set_title(alias, at, root, title, alone=row is not root, nested=nested)
    turn = row.last_turn - starts_turn(message)
    note_taken(alias, root, row.pk, message)
    after = move(row, last_seq=seq - 1, message_count=row.message_count - 1, last_turn=turn, **fields)
    touch(rows)
    changed_row(alias, Kind.POPPED, at, row, after, first_seq=seq, last_seq=seq, nested=nested)
    return Commit((message,), after, Change(after, before.version, before.vtoken), row.branch)


def _check_not_shared(row: Session, seq: int) -> None:
    """Check that no other branch shares a message.

    Raises:
        BranchInUse: another branch shares it.
    """
    children = family(row).filter(parent_id=row.pk, fork_seq__gte=seq)
    others = sorted(children.values_list("branch", flat=True))
    if others:
        raise BranchInUse(row.branch, others)
