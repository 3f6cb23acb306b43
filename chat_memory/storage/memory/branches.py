"""Owns the in-memory part for branches."""

from __future__ import annotations

from chat_memory.choices import MAIN_BRANCH
from chat_memory.exceptions import BranchNotFound
from chat_memory.records import Address, Branch, Header, Sibling
from chat_memory.storage.changed import Kind
from chat_memory.storage.contract import BranchStore
from chat_memory.storage.memory import changes
from chat_memory.storage.memory.store import MemoryStore
from chat_memory.storage.memory.switching import switched
from chat_memory.storage.memory.view import BranchView


class MemoryBranches(BranchStore):
    """See ``BranchStore``."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def all(self, at: Address) -> list[Branch]:
        """See ``BranchStore.all``."""
        view = self._store.find(at)
        return view.conversation.in_order() if view else []

    def fork(
        self, at: Address, name: str, seq: int | None = None, *, switch: bool = False, pending: str = ""
    ) -> tuple[Branch, Header]:
        """See ``BranchStore.fork``; shared rows are referred to, not copied."""
        with self._store.transaction() as transaction:
            existing = transaction.find(at)
            view = existing or transaction.new_conversation(at, {"version": 1})
            known = changes.waiting(view, seq, pending)
            if known is not None:
                return view.conversation.branch(known), view.header
            conversation = changes.fork(view, name, seq, transaction.now, pending)
            if existing is None:
                transaction.add_event(Kind.OPENED, at, view, made=True)
            branch = BranchView(conversation, conversation.branches[name])
            parent = {"parent": branch.state.parent, "last_seq": branch.state.fork_seq}
            transaction.add_event(Kind.FORKED, at, branch, **parent)
            if switch:
                conversation = switched(transaction, at, conversation, name)
            transaction.keep(conversation)
            return conversation.branch(name), view.header

    def siblings(self, at: Address, seq: int) -> list[Sibling]:
        """See ``BranchStore.siblings``."""
        view = self._store.find(at)
        if view is None or not view.shows(seq):
            return []
        origin, shown = view.owner(seq - 1), view.owner(seq)
        branches = view.conversation.branches.values()
        forks = [each for each in branches if (each.parent, each.fork_seq) == (origin.name, seq - 1)]
        alike = [origin, *sorted(forks, key=lambda state: state.number)]
        found = [state for state in alike if state.fork_seq < seq <= state.last_seq and state.base_seq < seq]
        return [
            Sibling(state.name, seq, state.row(seq).client_id, state is shown, number, len(found))
            for number, state in enumerate(found, 1)
        ]

    def switch(self, at: Address, name: str) -> Header | None:
        """See ``BranchStore.switch``."""
        with self._store.transaction() as transaction:
            view = transaction.find(at)
            if view is None:
                if name == MAIN_BRANCH and at.means_whole:
                    return None
                raise BranchNotFound(at.key, name)
            if view.conversation.current == name:
                return None
            conversation = switched(transaction, at, view.conversation, name)
            transaction.keep(conversation)
            return BranchView(conversation, conversation.branches[name]).header
