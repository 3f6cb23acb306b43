"""Owns the part that keeps session rows in Django's models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet

from chat_memory.exceptions import BranchInUse, SessionNotFound
from chat_memory.fields import OF_BRANCH
from chat_memory.models import Session
from chat_memory.records import Address, SessionRecord
from chat_memory.storage.changed import Kind
from chat_memory.storage.contract import NO_FIELDS, SessionStore
from chat_memory.storage.listing import NO_FILTER, Cursor, Filter, Usage
from chat_memory.storage.orm import listing, removal
from chat_memory.storage.orm.creating import create
from chat_memory.storage.orm.derived import empty_title_of_branch
from chat_memory.storage.orm.emission import changed_row
from chat_memory.storage.orm.part import OrmPart
from chat_memory.storage.orm.rows import Rows, check_version, family, find, header_of, lock, make_current, move
from chat_memory.storage.orm.transactions import run_write

_RECORDED = tuple(name for name in SessionRecord.__struct_fields__ if name != "workspace")


def to_record(root: Session, row: Session) -> SessionRecord:
    """The record of a conversation as one of its branches shows it; the workspace of the root must be loaded."""
    fields = {name: getattr(row if name in OF_BRANCH else root, name) for name in _RECORDED}
    return SessionRecord(workspace=root.workspace.slug, **fields)


class OrmSessions(OrmPart, SessionStore):
    """Sessions in Django's models."""

    def get(self, at: Address) -> SessionRecord | None:
        """See ``SessionStore.get``."""
        rows = find(self._alias, at)
        return to_record(*rows) if rows else None

    def find(
        self,
        workspace: str,
        wanted: Filter = NO_FILTER,
        *,
        before: Cursor | None = None,
        after: Cursor | None = None,
        size: int = 50,
    ) -> list[SessionRecord]:
        """See ``SessionStore.find``."""
        return listing.find(self._alias, workspace, wanted, before=before, after=after, size=size)[0]

    def find_within(
        self,
        workspace: str,
        wanted: Filter = NO_FILTER,
        *,
        before: Cursor | None = None,
        after: Cursor | None = None,
        size: int = 50,
        most: int,
    ) -> tuple[list[SessionRecord], bool]:
        """See ``SessionStore.find_within``; what is left out never leaves the database."""
        return listing.find(self._alias, workspace, wanted, before=before, after=after, size=size, most=most)

    def count(self, workspace: str, wanted: Filter = NO_FILTER) -> int:
        """See ``SessionStore.count``."""
        return listing.count(self._alias, workspace, wanted)

    def usage(self, workspace: str, wanted: Filter = NO_FILTER) -> Usage:
        """See ``SessionStore.usage``."""
        return listing.usage(self._alias, workspace, wanted)

    def open(self, at: Address, fields: Mapping[str, Any] = NO_FIELDS) -> tuple[SessionRecord, bool]:
        """See ``SessionStore.open``."""
        alias = self._alias

        def write(*, nested: bool) -> tuple[SessionRecord, bool]:
            known = self.get(at)
            if known is not None:
                return known, False
            rows, made = create(alias, at, {**fields, "version": 1}, nested=nested)
            if made:
                changed_row(alias, Kind.OPENED, at, rows.row, rows.header, made=True, nested=nested)
            return to_record(*rows), made

        return run_write(alias, write, at=at)

    def update(self, at: Address, fields: Mapping[str, Any], *, if_version: int | None = None) -> SessionRecord:
        """See ``SessionStore.update``."""
        alias = self._alias
        given = dict(fields) | ({"title_made": False} if "title" in fields else {})

        def write(*, nested: bool) -> SessionRecord:
            rows = lock(alias, at)
            if rows is None:
                raise SessionNotFound(at.key, at.workspace)
            check_version(rows.row, if_version)
            move(rows.root, **given)
            if rows.row is not rows.root:
                move(rows.row)
            changed_row(alias, Kind.UPDATED, at, rows.row, rows.header, fields=tuple(fields), nested=nested)
            return to_record(*rows)

        return run_write(alias, write, at=at)

    def delete(self, at: Address) -> bool:
        """See ``SessionStore.delete``; messages and branches are deleted with the session."""
        alias = self._alias

        def write(*, nested: bool) -> bool:
            rows = lock(alias, at)
            if rows is None:
                return False
            was_current = rows.row.pk == rows.root.head_id
            found = family(rows.root) if at.means_whole else _lone(rows)
            if not at.means_whole:
                empty_title_of_branch(alias, at, *rows, nested=nested)
            removal.remove_sessions(alias, removal.leaving(found), workspace_id=rows.root.workspace_id)
            if was_current and not at.means_whole:
                changed_row(alias, Kind.SWITCHED, at, rows.root, header_of(rows.root), nested=nested)
            return True

        return run_write(alias, write, at=at)


def _lone(rows: Rows) -> QuerySet[Session]:
    """The row of a branch to delete; no other branch hangs on it, and ``main`` becomes current if it was.

    Raises:
        BranchInUse: other branches share messages of it.
    """
    root, row = rows
    others = sorted(family(root).filter(parent_id=row.pk).values_list("branch", flat=True))
    if others:
        raise BranchInUse(row.branch, others)
    if root.head_id == row.pk:
        make_current(root, row, root)
    return family(root).filter(pk=row.pk)
