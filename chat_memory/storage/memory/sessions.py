"""Owns the in-memory part for sessions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from heapq import nlargest, nsmallest
from typing import Any

from chat_memory.choices import MAIN_BRANCH
from chat_memory.exceptions import SessionNotFound
from chat_memory.records import Address, SessionRecord
from chat_memory.storage.changed import Kind
from chat_memory.storage.contract import NO_FIELDS, SessionStore
from chat_memory.storage.listing import NO_FILTER, Cursor, Filter, Usage
from chat_memory.storage.mapping import to_messages
from chat_memory.storage.memory import changes
from chat_memory.storage.memory.states import detached
from chat_memory.storage.memory.store import MemoryStore, Transaction
from chat_memory.storage.memory.view import BranchView


class MemorySessions(SessionStore):
    """See ``SessionStore``."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def get(self, at: Address) -> SessionRecord | None:
        """See ``SessionStore.get``."""
        view = self._store.find(at)
        return view.record if view else None

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
        records = [view.shared_record for view in self._wanted(workspace, wanted)]
        if after is None:
            behind = (record for record in records if before is None or Cursor.of(record) < before)
            page = nlargest(size, behind, key=Cursor.of)
        else:
            ahead = (record for record in records if Cursor.of(record) > after)
            page = nsmallest(size, ahead, key=Cursor.of)[::-1]
        return [detached(record) for record in page]

    def count(self, workspace: str, wanted: Filter = NO_FILTER) -> int:
        """See ``SessionStore.count``."""
        return sum(1 for _view in self._wanted(workspace, wanted))

    def usage(self, workspace: str, wanted: Filter = NO_FILTER) -> Usage:
        """See ``SessionStore.usage``; hidden messages stay stored, so they count."""
        return sum((_usage_of(view) for view in self._wanted(workspace, wanted)), Usage())

    def open(self, at: Address, fields: Mapping[str, Any] = NO_FIELDS) -> tuple[SessionRecord, bool]:
        """See ``SessionStore.open``."""
        with self._store.transaction() as transaction:
            existing = transaction.find(at)
            if existing is not None:
                return existing.record, False
            view = transaction.new_conversation(at, {**fields, "version": 1})
            transaction.keep(view.conversation)
            transaction.add_event(Kind.OPENED, at, view, made=True, fields=tuple(fields))
            return view.record, True

    def update(self, at: Address, fields: Mapping[str, Any], *, if_version: int | None = None) -> SessionRecord:
        """See ``SessionStore.update``."""
        with self._store.transaction() as transaction:
            view = transaction.find(at)
            if view is None:
                raise SessionNotFound(at.key, at.workspace)
            changes.check_version(view, if_version)
            after = view.in_state(changes.update(view, fields, transaction.now))
            transaction.keep(after.conversation)
            transaction.add_event(Kind.UPDATED, at, after, fields=tuple(fields))
            return after.record

    def delete(self, at: Address) -> bool:
        """See ``SessionStore.delete``."""
        with self._store.transaction() as transaction:
            view = transaction.find(at)
            if view is None:
                return False
            if at.means_whole:
                _delete_conversation(transaction, at, view)
            else:
                _delete_branch(transaction, at, view)
            return True

    def _wanted(self, workspace: str, wanted: Filter) -> Iterator[BranchView]:
        return (view for view in self._store.current_views(workspace) if wanted.takes(view.shared_record))


def _usage_of(view: BranchView) -> Usage:
    rows = [row for state in view.conversation.branches.values() for row in state.own_rows()]
    return Usage.of(to_messages(rows))


def _delete_conversation(transaction: Transaction, at: Address, view: BranchView) -> None:
    transaction.drop(at)
    for state in view.conversation.branches.values():
        transaction.add_event(Kind.DELETED, at, BranchView(view.conversation, state), header=None)


def _delete_branch(transaction: Transaction, at: Address, view: BranchView) -> None:
    """Delete one branch; if it was the current one, ``main`` becomes current."""
    conversation = changes.delete_branch(view, transaction.now)
    transaction.keep(conversation)
    transaction.add_event(Kind.DELETED, at, view, header=None)
    if conversation.record.title != view.conversation.record.title:
        main = BranchView(conversation, conversation.branches[MAIN_BRANCH])
        transaction.add_event(Kind.UPDATED, at, main, fields=("title",))
    if conversation.current != view.conversation.current:
        transaction.add_event(Kind.SWITCHED, at, BranchView(conversation, conversation.branches[MAIN_BRANCH]))
