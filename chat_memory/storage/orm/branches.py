"""Owns the part that keeps branches in Django's models; each is a session row with another one as its parent."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from django.db.models import F, QuerySet
from msgspec import structs

from chat_memory.choices import CURRENT, MAIN_BRANCH, Pending
from chat_memory.exceptions import BranchExists, BranchNotFound, MessageNotFound
from chat_memory.models import Session
from chat_memory.records import Address, Branch, Header, Sibling
from chat_memory.storage.changed import Kind
from chat_memory.storage.contract import BranchStore
from chat_memory.storage.orm import hints
from chat_memory.storage.orm.creating import create
from chat_memory.storage.orm.emission import changed_row
from chat_memory.storage.orm.lineage import lineage
from chat_memory.storage.orm.owning import check_unreached
from chat_memory.storage.orm.part import OrmPart
from chat_memory.storage.orm.reading import fetch_rows
from chat_memory.storage.orm.rows import (
    Rows,
    branch_row,
    check_room,
    family,
    find,
    header_of,
    lock,
    make_current,
    note_number,
)
from chat_memory.storage.orm.statements import branch as statements
from chat_memory.storage.orm.transactions import run_write

_ONCE = (Pending.ANSWERED.value, Pending.COMPLETE.value)


class OrmBranches(OrmPart, BranchStore):
    """Branches in Django's models."""

    def all(self, at: Address) -> list[Branch]:
        """See ``BranchStore.all``."""
        rows = find(self._alias, at)
        return [to_branch(rows.root, rows.root, None), *_others(rows.root, _others_of(rows.root))] if rows else []

    def find(self, at: Address, *, after: int | None = None, before: int | None = None, size: int = 50) -> list[Branch]:
        """See ``BranchStore.find``; no more rows are read than asked for."""
        rows = find(self._alias, at)
        if rows is None:
            return []
        root, others = rows.root, _others_of(rows.root)
        if before is not None:
            nearest = others.filter(branch_number__lt=before).order_by("-branch_number", "-pk")[:size]
            found = [to_branch(root, root, None)] * (before > 0) + _others(root, nearest)[::-1]
            return found[-size:]
        if after is not None:
            return _others(root, others.filter(branch_number__gt=after)[:size])
        return [to_branch(root, root, None), *_others(root, others[: size - 1])]

    def fork(
        self, at: Address, name: str, seq: int | None = None, *, switch: bool = False, pending: str = ""
    ) -> tuple[Branch, Header]:
        """See ``BranchStore.fork``."""
        alias = self._alias

        def write(*, nested: bool) -> tuple[Branch, Header]:
            source = lock(alias, at)
            # Every refusal comes before the first write, because the caller's transaction may go on.
            if name == MAIN_BRANCH or (source and family(source.root).filter(branch=name).exists()):
                raise BranchExists(at.key, name)
            if source is None and seq and at.means_whole:
                raise MessageNotFound(at.key, seq=seq)
            waiting = source and _waiting(source, seq, pending)
            if source and waiting:
                return waiting, source.header
            check_room(at.key, source and source.root)
            if source is None:
                source, opened = create(alias, at, {"version": 1}, nested=nested)
                if opened:
                    changed_row(alias, Kind.OPENED, at, source.row, source.header, made=True, nested=nested)
            left = source.header
            made, parent = _forked(at, source, name, left.last_seq if seq is None else seq, pending)
            shared = {"parent": parent.branch, "last_seq": made.fork_seq}
            changed_row(alias, Kind.FORKED, at, made, header_of(made), nested=nested, **shared)
            if switch:
                _switched(alias, at, source.root, _current(source), made, nested=nested)
            return to_branch(made, source.root, parent.branch), left

        return run_write(alias, write, at=at)

    def siblings(self, at: Address, seq: int) -> list[Sibling]:
        """See ``BranchStore.siblings``: one statement."""
        follows = at.branch == CURRENT
        if follows and not at.pinned:
            at = structs.replace(at, session_id=None)  # the id may be that of a branch that was current earlier
        rows = fetch_rows(self._alias, at, partial(statements.siblings, follows=follows), {"seq": seq})
        if not rows and at.is_checked:
            check_unreached(self._alias, at)
        count = len(rows)
        return [
            Sibling(branch, seq, message_id, bool(is_current), number, count)
            for number, (branch, message_id, is_current) in enumerate(rows, 1)
        ]

    def switch(self, at: Address, name: str) -> Header | None:
        """See ``BranchStore.switch``."""
        alias = self._alias

        def write(*, nested: bool) -> Header | None:
            held = lock(alias, at)
            if held is None and name == MAIN_BRANCH and at.means_whole:
                return None
            known = {row.branch: row for row in family(held.root)} if held else {}
            if held is None or name not in known:
                raise BranchNotFound(at.key, name)
            root, target, current = held.root, known[name], _current(held)
            if target.pk == current.pk:
                return None
            return _switched(alias, at, root, current, root if target.pk == root.pk else target, nested=nested)

        return run_write(alias, write, at=at)


def to_branch(row: Session, root: Session, parent: str | None) -> Branch:
    """The record of a branch; ``parent`` is the name of the branch it was forked from."""
    current = row.pk == (root.head_id or root.pk)
    counters = (row.fork_seq or 0, row.last_seq, row.message_count, row.version)
    number = 0 if row.pk == root.pk else row.branch_number
    return Branch(row.branch, parent, *counters, current, row.created_at, row.updated_at, number, bool(row.pending))


def _others_of(root: Session) -> QuerySet[Session]:
    """The rows of all branches but ``main``, in the order they were made, each with the name of its parent."""
    others = family(root).filter(parent_id__isnull=False).annotate(parent_name=F("parent__branch"))
    return others.order_by("branch_number", "pk")


def _others(root: Session, rows: Iterable[Any]) -> list[Branch]:
    return [to_branch(row, root, row.parent_name) for row in rows]


def _switched(alias: str, at: Address, root: Session, before: Session, after: Session, *, nested: bool) -> Header:
    header = make_current(root, before, after)
    hints.note(alias, structs.replace(at, branch=CURRENT), branched=after is not root)
    changed_row(alias, Kind.SWITCHED, at, after, header, nested=nested)
    return header


def _current(rows: Rows) -> Session:
    """The row of the current branch, which need not be the addressed one."""
    return _row(rows, rows.current_id)


def _row(rows: Rows, ident: Any) -> Session:
    """A row of the conversation by its id; one of ``rows`` is not read again."""
    return next((row for row in rows if row.pk == ident), None) or family(rows.root).get(pk=ident)


def _waiting(source: Rows, seq: int | None, pending: str) -> Branch | None:
    """The branch that is pending already for another answer to the same messages."""
    if pending not in _ONCE or (seq is not None and not source.row.base_seq <= seq <= source.row.last_seq):
        return None
    seq = source.row.last_seq if seq is None else seq
    same = _others_of(source.root).filter(parent_id=lineage(source.row).owner(seq), fork_seq=seq, pending__in=_ONCE)
    row: Any = same.filter(base_seq=source.row.base_seq).first()
    return row and to_branch(row, source.root, row.parent_name)


def _forked(at: Address, source: Rows, name: str, seq: int, pending: str) -> tuple[Session, Session]:
    """Create a branch of the row that has the position; return the new row and that row.

    Raises:
        MessageNotFound: the source does not show the position.
    """
    root, row = source
    if not row.base_seq <= seq <= row.last_seq:
        raise MessageNotFound(at.key, seq=seq)
    line = lineage(row)
    parent = _row(source, line.owner(seq))
    now = datetime.now(UTC)
    times = {"created_at": now, "updated_at": now, "active_at": root.active_at, "listed_at": root.listed_at}
    made = branch_row(
        root, name, parent.pk, seq=seq, base=row.base_seq, turn=line.turn_at(seq), times=times, pending=pending
    )
    made.save(using=root._state.db, force_insert=True)
    note_number(root)
    return made, parent
