"""Owns the in-memory part for edits."""

from __future__ import annotations

from chat_memory.exceptions import MessageNotFound
from chat_memory.records import Address, Commit, Revision
from chat_memory.storage.changed import Kind
from chat_memory.storage.contract import EditStore
from chat_memory.storage.contract.edits import Restate
from chat_memory.storage.mapping import content_of
from chat_memory.storage.memory import changes
from chat_memory.storage.memory.store import MemoryStore, change_between
from chat_memory.storage.memory.view import BranchView


class MemoryEdits(EditStore):
    """See ``EditStore``."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def edit(self, at: Address, seq: int, restate: Restate) -> Commit:
        """See ``EditStore.edit``."""
        with self._store.transaction() as transaction:
            view = transaction.find(at)
            if view is None:
                raise MessageNotFound(at.key, seq=seq)
            conversation, edited = changes.edit(view, seq, restate, transaction.now)
            transaction.keep(conversation)
            after = view.in_state(conversation)
            commit = Commit((edited,), after.header, change_between(view, after))
            for state in conversation.sharing(view.owner(seq).name, seq):
                branch = BranchView(conversation, state)
                if branch.shows(seq):
                    # Only the event of the addressed branch carries the commit.
                    own_commit = {"commit": commit} if state is after.state else {}
                    transaction.add_event(Kind.EDITED, at, branch, first_seq=seq, last_seq=seq, **own_commit)
            return commit

    def revisions(self, at: Address, seq: int) -> list[Revision]:
        """See ``EditStore.revisions``."""
        view = self._store.find(at)
        edited = view.owner(seq).edits.get(seq) if view and view.shows(seq) else None
        former = edited.former if edited else ()
        return [Revision(seq, content_of(row.content, row.parts), until) for row, until in former]
