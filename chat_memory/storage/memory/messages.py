"""Owns the in-memory part for messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chat_memory.exceptions import VersionConflict
from chat_memory.records import Address, Budget, Change, Commit, Header, Message, Slice, Span
from chat_memory.storage import windowing
from chat_memory.storage.changed import Kind
from chat_memory.storage.contract import ALL_MESSAGES, Batch, MessageStore
from chat_memory.storage.memory import changes, rewriting
from chat_memory.storage.memory.store import MemoryStore, Transaction, change_between
from chat_memory.storage.memory.switching import told


class MemoryMessages(MessageStore):
    """See ``MessageStore``."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def append(
        self, at: Address, messages: Sequence[Message], *, title: str | None = None, if_version: int | None = None
    ) -> Commit:
        """See ``MessageStore.append``."""
        with self._store.transaction() as transaction:
            return append_in(transaction, at, messages, title, if_version)

    def append_many(self, batches: Sequence[Batch]) -> list[Commit]:
        """See ``MessageStore.append_many``."""
        with self._store.transaction() as transaction:
            return [append_in(transaction, at, messages, title, None) for at, messages, title in batches]

    def read(self, at: Address, span: Span = ALL_MESSAGES) -> Slice:
        """See ``MessageStore.read``."""
        view = self._store.find(at)
        return view.slice(span) if view else Slice([], None)

    def peek(self, at: Address) -> Header | None:
        """See ``MessageStore.peek``."""
        view = self._store.find(at)
        return view.header if view else None

    def window(self, at: Address, budget: Budget) -> Slice:
        """See ``MessageStore.window``."""
        view = self._store.find(at)
        return windowing.read(view.slice, budget) if view else Slice([], None)

    def locate(self, at: Address, message_id: str) -> int | None:
        """See ``MessageStore.locate``."""
        view = self._store.find(at)
        return view.locate(message_id) if view else None

    def pop(self, at: Address) -> Commit | None:
        """See ``MessageStore.pop``."""
        with self._store.transaction() as transaction:
            view = transaction.find(at)
            if view is None or not view.state.message_count:
                return None
            conversation, message = rewriting.pop(view, transaction.now)
            transaction.keep(conversation)
            after = view.in_state(conversation)
            transaction.add_event(Kind.POPPED, at, after, first_seq=message.seq, last_seq=message.seq)
            return Commit((message,), after.header, change_between(view, after), after.state.name)

    def clear(self, at: Address) -> Change | None:
        """See ``MessageStore.clear``."""
        with self._store.transaction() as transaction:
            view = transaction.find(at)
            if view is None or not view.state.message_count:
                return None
            after = view.in_state(changes.clear(view, transaction.now))
            transaction.keep(after.conversation)
            hidden = {"first_seq": view.state.base_seq + 1, "last_seq": view.state.last_seq}
            transaction.add_event(Kind.CLEARED, at, after, **hidden)
            return change_between(view, after)


def append_in(
    transaction: Transaction,
    at: Address,
    messages: Sequence[Message],
    title: str | None,
    if_version: int | None,
    *,
    under: int | None = None,
) -> Commit:
    """Append to a conversation within a transaction, to its newest turn or to the turn ``under``.

    The contract is ``MessageStore.append``.
    """
    existing = transaction.find(at)
    if existing is None and if_version and at.means_whole:
        raise VersionConflict(if_version, 0)
    before = existing or transaction.new_conversation(at)
    known = before.stored(messages)
    fresh = [each for each in messages if each.id not in known]
    transaction.shelf.check_reached(before, fresh, transaction.now)
    terms: dict[str, Any] = {"title": title, "if_version": if_version, "under": under}
    conversation, stored = changes.append(before, at, messages, now=transaction.now, **terms)
    if conversation is None:
        return Commit(stored, before.header, None, before.state.name)
    transaction.shelf.let_go(at.workspace, at.key, messages)
    return told(transaction, at, before, before.in_state(conversation), stored)
