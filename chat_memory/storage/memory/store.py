"""Owns the conversations in memory, their locks, and the transactions that change them and emit events."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from chat_memory.choices import CURRENT, MAIN_BRANCH
from chat_memory.conf import settings
from chat_memory.exceptions import BranchNotFound, NotOwner, SessionNotFound, WorkspaceNotFound
from chat_memory.records import Address, Change
from chat_memory.rules.names import yielded_key
from chat_memory.storage.changed import Changed, Kind, emit
from chat_memory.storage.contract import NO_FIELDS
from chat_memory.storage.memory import changes
from chat_memory.storage.memory.journal import Journal
from chat_memory.storage.memory.shelf import Shelf
from chat_memory.storage.memory.states import ConversationState
from chat_memory.storage.memory.view import BranchView

_TAKING = frozenset({Kind.DELETED, Kind.POPPED, Kind.REDACTED})
"""The kinds of change that may remove the last reference to an attachment."""
Place = tuple[str, str]
"""The workspace and the key of a conversation."""


class MemoryStore:
    """The conversations by workspace and key.

    One writer at a time holds ``_writing``. Readers hold ``_table`` only for a look-up: states are immutable, so a
    reader never waits for a writer's work.
    """

    def __init__(self, source: object, clock: Callable[[], datetime]) -> None:
        self._source = source
        self._clock = clock
        self._writing = threading.RLock()
        self._table = threading.Lock()
        self._workspaces: dict[str, _Workspace] = {}
        self.shelf = Shelf()
        self.token = secrets.token_hex(8)

    def add_workspace(self, slug: str) -> None:
        """Create a workspace, unless it exists."""
        with self._table:
            self._workspaces.setdefault(slug, _Workspace(len(self._workspaces) + 1))

    def journal(self, slug: str) -> Journal:
        """What changed in a workspace, as it is now."""
        with self._table:
            workspace = self._workspaces.get(slug)
            return workspace.journal.copy() if workspace else Journal()

    def now(self) -> datetime:
        """The present time."""
        return self._clock()

    def get(self, place: Place) -> ConversationState | None:
        """The conversation's present state; None where there is no conversation."""
        slug, key = place
        with self._table:
            workspace = self._workspaces.get(slug)
            return workspace.conversations.get(key) if workspace else None

    def find(self, at: Address) -> BranchView | None:
        """The branch that an address names, in its present state; None where there is no such branch.

        Raises:
            NotOwner: the conversation belongs to somebody else than the address' user.
        """
        return _reached(self.get((at.workspace, at.key)), at)

    def current_views(self, slug: str) -> Iterator[BranchView]:
        """The current branch of each conversation of a workspace, all from one moment."""
        with self._table:
            workspace = self._workspaces.get(slug)
            conversations = [*workspace.conversations.values()] if workspace else []
        return (view for conversation in conversations if (view := BranchView.of(conversation)))

    def workspace_id(self, slug: str) -> int:
        """The id of a workspace, which is created if CREATE_WORKSPACES is True.

        Raises:
            WorkspaceNotFound: the workspace is unknown, and CREATE_WORKSPACES is False.
        """
        if slug not in self._workspaces:
            if not settings.create_workspaces:
                raise WorkspaceNotFound(slug, may_be_made=False)
            self.add_workspace(slug)
        return self._workspaces[slug].id

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """A context in which one call changes conversations; other callers see all its changes at once, at its end.

        If the block raises, nothing is changed. Otherwise its events are emitted after the locks are released.
        """
        with self._writing:
            transaction = Transaction(self, self._clock())
            yield transaction
            self._publish(transaction.changed, transaction.now)
            for slug in {event.workspace for event in transaction.events if event.kind in _TAKING}:
                views = self.current_views(slug)
                self.shelf.remove_unused(slug, [view.conversation for view in views], transaction.now)
        emit(self._source, *transaction.events)

    def _publish(self, changed: Mapping[Place, ConversationState | None], now: datetime) -> None:
        with self._table:
            for (workspace, key), conversation in changed.items():
                conversations, journal = self._workspaces[workspace].conversations, self._workspaces[workspace].journal
                if conversation is not None:
                    former, conversations[key] = conversations.get(key), conversation
                    if former is None or former.record is not conversation.record:
                        journal.note(conversation.record.id, key)
                elif key in conversations:
                    journal.note_gone(conversations.pop(key).record.id, now)


class Transaction:
    """The changes of one call, and the events that it will emit."""

    def __init__(self, store: MemoryStore, now: datetime) -> None:
        self.now = now
        self.changed: dict[Place, ConversationState | None] = {}
        self.events: list[Changed] = []
        self._store = store

    def find(self, at: Address) -> BranchView | None:
        """The branch that an address names, after the changes of this call; None where there is no such branch.

        Raises:
            NotOwner: the conversation belongs to somebody else than the address' user.
        """
        return _reached(self._get((at.workspace, at.key)), at)

    @property
    def shelf(self) -> Shelf:
        """The attachments of the store."""
        return self._store.shelf

    def _get(self, place: Place) -> ConversationState | None:
        return self.changed[place] if place in self.changed else self._store.get(place)

    def new_conversation(self, at: Address, fields: Mapping[str, Any] = NO_FIELDS) -> BranchView:
        """The first state of a new conversation; the caller must still ``keep`` it.

        If another conversation has the key because a client chose it, that conversation gets another key.

        Raises:
            BranchNotFound: the address names a branch other than ``main``, and only a fork creates branches.
            SessionNotFound: the address is pinned to one session, which does not exist.
            WorkspaceNotFound: the workspace is unknown, and CREATE_WORKSPACES is False.
        """
        if not at.means_whole:
            raise BranchNotFound(at.key, at.branch)
        if at.pinned:
            raise SessionNotFound(at.key, at.workspace)
        conversation = changes.new_conversation(at, self._store.workspace_id(at.workspace), fields, self.now)
        yielding = self._get((at.workspace, at.key))
        if yielding is not None:
            self._give_way(at, yielding)
        return BranchView(conversation, conversation.branches[MAIN_BRANCH])

    def _give_way(self, at: Address, before: ConversationState) -> None:
        """Give a conversation another key, and add an event for each of its branches."""
        ident = str(before.record.id)
        key = yielded_key(at.key, ident)
        while self._get((at.workspace, key)) is not None:  # a client has taken that key too
            key = yielded_key(at.key, f"{ident}-{secrets.token_hex(8)}")
        after = changes.rename(before, key, self.now)
        self.keep(after)
        for state in after.branches.values():
            self.add_event(Kind.RENAMED, at, BranchView(after, state), key=key, former_key=at.key)

    def keep(self, conversation: ConversationState) -> None:
        """Store the new state of a conversation when the call ends."""
        self.changed[conversation.record.workspace, conversation.record.key] = conversation

    def drop(self, at: Address) -> None:
        """Delete a conversation when the call ends."""
        self.changed[at.workspace, at.key] = None

    def add_event(self, kind: Kind, at: Address, view: BranchView, **more: Any) -> None:
        """Emit an event about a branch after the call; ``more`` are further fields of Changed."""
        fields: dict[str, Any] = {
            "workspace": at.workspace,
            "key": at.key,
            "session_id": view.state.id,
            "branch": view.state.name,
            "header": view.header,
            "asked": at.branch,
            "cache_ttl": at.cache_ttl,
        }
        self.events.append(Changed(kind=kind, **(fields | more)))


def _reached(conversation: ConversationState | None, at: Address) -> BranchView | None:
    """The branch that an address names; None also if the conversation gives up its key to the address' user.

    Raises:
        NotOwner: the conversation belongs to somebody else than the address' user, and keeps its key.
    """
    if conversation is None:
        return None
    record = conversation.record
    if at.reaches(record.user_id, record.user_key):
        view = BranchView.of(conversation, at.branch)
        if not at.pinned or view is None:
            return view
        meant = record.id if at.branch == CURRENT else view.state.id
        return view if meant == at.session_id else None
    if record.key_from_client:
        return None
    raise NotOwner(at.key, at.workspace, at.user_key)


def change_between(before: BranchView, after: BranchView) -> Change:
    """The change that led from one state of a branch to the next."""
    added = max(0, after.state.last_seq - before.state.last_seq)
    return Change(after.header, before.state.version, before.state.vtoken, added)


class _Workspace:
    """A workspace and its conversations by key."""

    def __init__(self, number: int) -> None:
        self.id = number
        self.journal = Journal()
        self.conversations: dict[str, ConversationState] = {}
