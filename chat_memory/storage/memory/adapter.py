"""Owns the adapter that keeps conversations in this process, rows encoded; it must not evict or share any of them."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from heapq import nlargest
from typing import Any

from chat_memory.choices import CURRENT, MAIN_BRANCH
from chat_memory.conf import settings
from chat_memory.exceptions import BranchNotFound, MessageNotFound, SessionNotFound, VersionConflict, WorkspaceNotFound
from chat_memory.records import (
    Address,
    Branch,
    Budget,
    Change,
    Claim,
    Commit,
    Header,
    Message,
    Revision,
    SessionRecord,
    Slice,
    Span,
    Summary,
)
from chat_memory.storage import windowing
from chat_memory.storage.base import EVERYTHING, NOTHING, Adapter, Answer, Batch, Given
from chat_memory.storage.listing import EVERY, Cursor, Filter
from chat_memory.storage.mapping import content_of
from chat_memory.storage.memory import changes, summarizing
from chat_memory.storage.memory.states import Conversation, View, detached


def _now() -> datetime:
    return datetime.now(UTC)


class MemoryAdapter(Adapter):
    """Conversations in this process: for tests, for trying things out, for what need not outlive it.

    Give one instance to every ``conversation(..., adapter=...)`` that shall share them. It holds what it was given
    until ``delete`` (FEATURES J20), there is nothing to close (J34), and what it returns is a copy (N43, J15).
    Threads may share it; processes cannot.

    Args:
        clock: what says which moment it is, in UTC; tests may give their own.
    """

    transactional = True
    can_branch = True
    can_summarize = True

    def __init__(self, clock: Callable[[], datetime] = _now) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._workspaces: dict[str, _Workspace] = {}

    def _hop(self, body: Callable[Given, Answer]) -> Callable[Given, Awaitable[Answer]]:
        """No thread: nothing here waits for anything but the lock, which is never held for long."""

        async def at_once(*args: Given.args, **kwargs: Given.kwargs) -> Answer:
            return body(*args, **kwargs)

        return at_once

    def add_workspace(self, slug: str) -> None:
        """Make a workspace known, for where CREATE_WORKSPACES is False."""
        with self._lock:
            self._workspaces.setdefault(slug, _Workspace(len(self._workspaces) + 1))

    def append(self, at: Address, messages: Sequence[Message], *, if_version: int | None = None) -> Commit:
        """See ``MessageStore.append``."""
        with self._lock:
            view = self._find(at)
            if view is None:
                if if_version and at.means_whole:
                    raise VersionConflict(if_version, 0)
                view = self._made(at)
            after, placed = changes.appended(view, at, messages, if_version, self._clock())
            change = self._change(view, after) if after else None
        return Commit(placed, change.header if change else view.header, change)

    def append_many(self, batches: Sequence[Batch]) -> list[Commit]:
        """See ``MessageStore.append_many``."""
        with self._lock:
            before = [(at, self._whole(at)) for at, _messages in batches]
            try:
                return [self.append(at, messages) for at, messages in batches]
            except BaseException:
                for at, whole in before:
                    self._restore(at, whole)
                raise

    def read(self, at: Address, span: Span = EVERYTHING) -> Slice:
        """See ``MessageStore.read``."""
        view = self._find(at)
        return view.slice(span) if view else Slice([], None)

    def peek(self, at: Address) -> Header | None:
        """See ``MessageStore.peek``."""
        view = self._find(at)
        return view.header if view else None

    def window(self, at: Address, budget: Budget) -> Slice:
        """See ``MessageStore.window``."""
        view = self._find(at)
        return windowing.read(view.slice, budget) if view else Slice([], None)

    def locate(self, at: Address, message_id: str) -> int | None:
        """See ``MessageStore.locate``."""
        view = self._find(at)
        return view.locate(message_id) if view else None

    def clear(self, at: Address) -> Change | None:
        """See ``MessageStore.clear``."""
        with self._lock:
            view = self._find(at)
            if view is None or not view.state.message_count:
                return None
            return self._change(view, changes.cleared(view, self._clock()))

    def get(self, at: Address) -> SessionRecord | None:
        """See ``SessionStore.get``."""
        view = self._find(at)
        return view.record if view else None

    def find(
        self, workspace: str, wanted: Filter = EVERY, *, before: Cursor | None = None, size: int = 50
    ) -> list[SessionRecord]:
        """See ``SessionStore.find``."""
        with self._lock:
            known = self._workspaces.get(workspace)
            views = [whole.meant(CURRENT) for whole in known.conversations.values()] if known else []
        found = (record for view in views if view and wanted.takes(record := view.counted))
        after = (record for record in found if before is None or Cursor.of(record) < before)
        return [detached(record) for record in nlargest(size, after, key=Cursor.of)]

    def open(self, at: Address, fields: Mapping[str, Any] = NOTHING) -> tuple[SessionRecord, bool]:
        """See ``SessionStore.open``."""
        with self._lock:
            found = self._find(at)
            view = found or self._opened(at, fields)
        return view.record, found is None

    def update(self, at: Address, fields: Mapping[str, Any]) -> SessionRecord:
        """See ``SessionStore.update``."""
        with self._lock:
            view = self._find(at)
            if view is None:
                raise SessionNotFound(f"there is no conversation {at.key!r} in workspace {at.workspace!r}")
            after = self._keep(changes.described(view, fields, self._clock()))
        return View(after, after.branches[view.state.name]).record

    def delete(self, at: Address) -> bool:
        """See ``SessionStore.delete``."""
        with self._lock:
            view = self._find(at)
            if view is not None:
                self._restore(at, None if at.means_whole else changes.parted(view, self._clock()))
        return view is not None

    def branches(self, at: Address) -> list[Branch]:
        """See ``BranchStore.branches``."""
        view = self._find(at)
        return [view.conversation.branch(state) for state in view.conversation.branches.values()] if view else []

    def fork(self, at: Address, name: str, seq: int | None = None, *, switch: bool = False) -> tuple[Branch, Header]:
        """See ``BranchStore.fork``; the branch refers to the rows it shares."""
        with self._lock:
            found = self._find(at)
            view = found or self._made(at, {"version": 1})
            after = changes.forked(view, name, seq, self._clock())
            if switch:
                after = changes.spoken(after, name, self._clock())
            self._keep(after)
        return after.branch(after.branches[name]), view.header

    def switch(self, at: Address, name: str) -> Header | None:
        """See ``BranchStore.switch``."""
        with self._lock:
            view = self._find(at)
            if view is None:
                if name == MAIN_BRANCH and at.means_whole:
                    return None
                raise BranchNotFound(f"conversation {at.key!r} has no branch {name!r}")
            if view.conversation.head == name:
                return None
            after = self._keep(changes.spoken(view.conversation, name, self._clock()))
        return View(after, after.branches[name]).header

    def edit(self, at: Address, message: Message) -> Commit:
        """See ``BranchStore.edit``."""
        with self._lock:
            view = self._find(at)
            if view is None:
                raise MessageNotFound(f"there is no conversation {at.key!r} in workspace {at.workspace!r}")
            after, said = changes.edited(view, message, self._clock())
            change = self._change(view, after)
        return Commit((said,), change.header, change)

    def revisions(self, at: Address, seq: int) -> list[Revision]:
        """See ``BranchStore.revisions``."""
        view = self._find(at)
        found = view.owner(seq).edits.get(seq) if view and view.shows(seq) else None
        return (
            [Revision(seq, content_of(row.content, row.parts), until) for row, until in found.former] if found else []
        )

    def summaries(self, at: Address) -> list[Summary]:
        """See ``SummaryStore.summaries``."""
        view = self._find(at)
        return view.summaries() if view else []

    def claim_summary(self, at: Address, keep: int) -> Claim | None:
        """See ``SummaryStore.claim_summary``; there are no transactions here."""
        with self._lock:
            view = self._find(at)
            made = summarizing.claimed(view, keep, self._clock()) if view else None
            if made is None:
                return None
            after, claim = made
            self._keep(after)
        return claim

    def keep_summary(self, at: Address, claim: Claim, summary: Summary) -> bool:
        """See ``SummaryStore.keep_summary``."""
        with self._lock:
            view = self._find(at)
            after = summarizing.kept(view, claim, summary) if view else None
            if after is not None:
                self._keep(after)
        return after is not None

    def release_summary(self, at: Address, claim: Claim) -> None:
        """See ``SummaryStore.release_summary``."""
        with self._lock:
            view = self._find(at)
            if view is not None:
                self._keep(summarizing.released(view, claim))

    def _whole(self, at: Address) -> Conversation | None:
        workspace = self._workspaces.get(at.workspace)
        return workspace.conversations.get(at.key) if workspace else None

    def _find(self, at: Address) -> View | None:
        """The branch that an address means; it never changes, so no lock need be held while it is read."""
        with self._lock:
            whole = self._whole(at)
        return whole.meant(at.branch) if whole else None

    def _keep(self, whole: Conversation) -> Conversation:
        self._workspaces[whole.record.workspace].conversations[whole.record.key] = whole
        return whole

    def _change(self, before: View, after: Conversation) -> Change:
        """Keep the conversation that follows; what it changed for the branch that was seen before."""
        header = View(self._keep(after), after.branches[before.state.name]).header
        added = header.last_seq - before.state.last_seq
        return Change(header, before.state.version, before.state.vtoken, added)

    def _restore(self, at: Address, whole: Conversation | None) -> None:
        if whole is not None:
            self._keep(whole)
        elif at.workspace in self._workspaces:
            self._workspaces[at.workspace].conversations.pop(at.key, None)

    def _opened(self, at: Address, fields: Mapping[str, Any]) -> View:
        view = self._made(at, {**fields, "version": 1})
        self._keep(view.conversation)
        return view

    def _made(self, at: Address, fields: Mapping[str, Any] = NOTHING) -> View:
        """The first state of a conversation, not kept yet.

        Raises:
            BranchNotFound: a branch is made by a fork, never by a write.
            WorkspaceNotFound: the workspace is unknown and CREATE_WORKSPACES is False.
        """
        if not at.means_whole:
            raise BranchNotFound(f"conversation {at.key!r} has no branch {at.branch!r}")
        if at.workspace not in self._workspaces:
            if not settings.create_workspaces:
                raise WorkspaceNotFound(f"there is no workspace {at.workspace!r}, and CREATE_WORKSPACES is False")
            self.add_workspace(at.workspace)
        whole = changes.made(at, self._workspaces[at.workspace].id, fields, self._clock())
        return View(whole, whole.branches[MAIN_BRANCH])


class _Workspace:
    """A tenant and its conversations by key."""

    def __init__(self, number: int) -> None:
        self.id = number
        self.conversations: dict[str, Conversation] = {}
