"""Owns the in-memory part for edits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from chat_memory.choices import MAIN_BRANCH
from chat_memory.records import Address, Commit, Message, Revision
from chat_memory.storage.changed import Kind
from chat_memory.storage.contract import EditStore
from chat_memory.storage.contract.edits import Place, Restate, edited, not_found, redacted
from chat_memory.storage.mapping import content_of, to_row
from chat_memory.storage.memory import changes, rewriting
from chat_memory.storage.memory.states import ConversationState
from chat_memory.storage.memory.store import MemoryStore, Transaction, change_between
from chat_memory.storage.memory.view import BranchView

Rewrite = Callable[[BranchView, int, Message, datetime], tuple[ConversationState, dict[str, int]]]
_REWRITES: Mapping[Kind, Rewrite] = {Kind.EDITED: rewriting.edit, Kind.REDACTED: rewriting.redact}


class MemoryEdits(EditStore):
    """See ``EditStore``."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def edit(self, at: Address, place: Place, restate: Restate, *, if_version: int | None = None) -> Commit:
        """See ``EditStore.edit``."""
        with self._store.transaction() as transaction:
            view, before = _found(transaction, at, place, if_version)
            after = edited(at.key, before, restate)
            if to_row(after) == to_row(before):
                return Commit((before,), view.header, None)
            transaction.shelf.check_reached(view, [after], transaction.now)
            transaction.shelf.let_go(at.workspace, at.key, [after])
            return rewrite_in(transaction, at, view, after, Kind.EDITED)

    def redact(
        self,
        at: Address,
        place: Place,
        restate: Restate,
        *,
        by: str = "",  # noqa: ARG002  # the contract's
        if_version: int | None = None,
    ) -> Commit:
        """See ``EditStore.redact``; ``by`` is not recorded, because nothing here outlives the process."""
        with self._store.transaction() as transaction:
            view, before = _found(transaction, at, place, if_version)
            after = redacted(before, restate)
            if after is before:
                return Commit((before,), view.header, None)
            return rewrite_in(transaction, at, view, after, Kind.REDACTED)

    def revisions(self, at: Address, place: Place) -> list[Revision]:
        """See ``EditStore.revisions``."""
        view = self._store.find(at)
        seq = view.position(place) if view else None
        if view is None or seq is None:
            return []
        changed = view.owner(seq).edits.get(seq)
        former = changed.former if changed else ()
        return [Revision(seq, content_of(row.content, row.parts), until) for row, until in former]


def _found(transaction: Transaction, at: Address, place: Place, if_version: int | None) -> tuple[BranchView, Message]:
    """A message that the branch shows.

    Raises:
        MessageNotFound: there is none.
        VersionConflict: the branch is not at ``if_version``.
    """
    view = transaction.find(at)
    if view is not None:
        changes.check_version(view, if_version)
    seq = view.position(place) if view else None
    if view is None or seq is None:
        raise not_found(at.key, place)
    return view, view.message(seq)


def rewrite_in(transaction: Transaction, at: Address, view: BranchView, after: Message, kind: Kind) -> Commit:
    """Replace the stored message at the position of ``after``, and add an event for each branch that shows it."""
    conversation, places = _REWRITES[kind](view, after.seq or 0, after, transaction.now)
    transaction.keep(conversation)
    transaction.shelf.let_go_lost(view.conversation, conversation)
    moved = view.in_state(conversation)
    stored = moved.message(after.seq or 0)
    commit = Commit((stored,), moved.header, change_between(view, moved))
    for name, seq in places.items():
        # Only the event of the addressed branch carries the commit.
        own = {"commit": commit} if name == moved.state.name else {}
        branch = BranchView(conversation, conversation.branches[name])
        transaction.add_event(kind, at, branch, first_seq=seq, last_seq=seq, **own)
    if MAIN_BRANCH not in places and conversation.record.title != view.conversation.record.title:
        main = BranchView(conversation, conversation.branches[MAIN_BRANCH])
        transaction.add_event(Kind.UPDATED, at, main, fields=("title",))
    return commit
