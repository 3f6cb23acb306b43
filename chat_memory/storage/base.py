"""Owns the storage contract, its verbs in four parts with their ``a`` twins; it must not know any database.

An adapter trusts its input: messages are validated and carry an id and a time. It promises, and the conformance kit
(``chat_memory.testing.conformance``) proves: positions are dense and never go back, an id is stored once, a call is
stored whole or not at all, its messages stay adjacent, reads come from one snapshot and never write. Branches and
summaries are optional parts, which a flag tells of.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, ParamSpec, TypeVar

import msgspec
from asgiref.sync import sync_to_async

from chat_memory.choices import MAIN_BRANCH
from chat_memory.exceptions import NotSupported
from chat_memory.records import (
    Address,
    Branch,
    Budget,
    Change,
    Claim,
    Commit,
    Header,
    Json,
    Message,
    Revision,
    SessionRecord,
    Slice,
    Span,
    Summary,
)
from chat_memory.storage import windowing
from chat_memory.storage.listing import EVERY, Cursor, Filter, Usage, every
from chat_memory.storage.mapping import to_json

Batch = tuple[Address, Sequence[Message]]
EVERYTHING = Span()
NOTHING: Mapping[str, Any] = MappingProxyType({})
CLAIM_LAPSES = 600
"""Seconds after which the claim of a worker that has not come back is another's."""
SESSION_FIELDS = frozenset({"title", "tags", "metadata", "pinned", "archived_at", "expires_at"})
"""What of a session its users may set."""
OPEN_FIELDS = SESSION_FIELDS | {"created_at", "base_seq"}
"""What a session may be made with: an import also gives its age and the positions that ``clear()`` has spent."""


Given = ParamSpec("Given")
Answer = TypeVar("Answer")


class Store:
    """What both parts of an adapter share: how an async twin runs its sync body."""

    def _hop(self, body: Callable[Given, Answer]) -> Callable[Given, Awaitable[Answer]]:
        """In a thread, since it may block; an adapter that never does overrides this."""
        return sync_to_async(body)


class MessageStore(Store, ABC):
    """The messages of conversations."""

    @abstractmethod
    def append(self, at: Address, messages: Sequence[Message], *, if_version: int | None = None) -> Commit:
        """Store the messages after the last one; known ids are replayed, not stored again.

        An unknown session is made, as is an unknown workspace where CREATE_WORKSPACES allows it.

        Raises:
            MessageConflict: an id is stored with other content.
            VersionConflict: the session is not at ``if_version`` and not every message is known already.
            WorkspaceNotFound: the workspace is unknown and may not be created.
            BranchNotFound: the session has no such branch.
        """

    @abstractmethod
    def append_many(self, batches: Sequence[Batch]) -> list[Commit]:
        """Append to several sessions, all or nothing, answers in the order given.

        Raises:
            NotSupported: the adapter cannot change several sessions at once.
            ChatMemoryError: as ``append``.
        """

    @abstractmethod
    def read(self, at: Address, span: Span = EVERYTHING) -> Slice:
        """The visible messages of the span, oldest first; none where there is no session."""

    def peek(self, at: Address) -> Header | None:
        """The state of the session alone: two equal headers mean that no read would answer otherwise."""
        return self.read(at, Span(last=1)).header

    def read_json(self, at: Address, span: Span = EVERYTHING) -> Json:
        """As ``read``, as the JSON the API speaks; a cache may have it ready."""
        found = self.read(at, span)
        return Json(to_json(found.messages), len(found.messages), found.header)

    def window(self, at: Address, budget: Budget) -> Slice:
        """The newest whole turns within the budget, with the system messages it asks for, oldest first.

        Turns are whole as they are stored; a call whose result came in a later turn is for the caller to see.
        """
        return windowing.read(partial(self.read, at), budget)

    def locate(self, at: Address, message_id: str) -> int | None:
        """The position of a visible message; None where there is none of this id."""
        shown = self.read(at).messages
        return next((message.seq for message in shown if message.id == message_id), None)

    @abstractmethod
    def clear(self, at: Address) -> Change | None:
        """Hide every message stored so far, whatever process stored it; None where there was nothing to hide."""

    async def aappend(self, at: Address, messages: Sequence[Message], *, if_version: int | None = None) -> Commit:
        """Async twin of ``append``."""
        return await self._hop(self.append)(at, messages, if_version=if_version)

    async def aappend_many(self, batches: Sequence[Batch]) -> list[Commit]:
        """Async twin of ``append_many``."""
        return await self._hop(self.append_many)(batches)

    async def aread(self, at: Address, span: Span = EVERYTHING) -> Slice:
        """Async twin of ``read``."""
        return await self._hop(self.read)(at, span)

    async def apeek(self, at: Address) -> Header | None:
        """Async twin of ``peek``."""
        return await self._hop(self.peek)(at)

    async def aread_json(self, at: Address, span: Span = EVERYTHING) -> Json:
        """Async twin of ``read_json``."""
        return await self._hop(self.read_json)(at, span)

    async def awindow(self, at: Address, budget: Budget) -> Slice:
        """Async twin of ``window``."""
        return await self._hop(self.window)(at, budget)

    async def alocate(self, at: Address, message_id: str) -> int | None:
        """Async twin of ``locate``."""
        return await self._hop(self.locate)(at, message_id)

    async def aclear(self, at: Address) -> Change | None:
        """Async twin of ``clear``."""
        return await self._hop(self.clear)(at)


class SessionStore(Store, ABC):
    """The sessions themselves."""

    @abstractmethod
    def get(self, at: Address) -> SessionRecord | None:
        """The session, or None."""

    @abstractmethod
    def find(
        self, workspace: str, wanted: Filter = EVERY, *, before: Cursor | None = None, size: int = 50
    ) -> list[SessionRecord]:
        """At most ``size`` conversations of a workspace, last changed first, those after ``before`` in that order."""

    def count(self, workspace: str, wanted: Filter = EVERY) -> int:
        """How many conversations of a workspace are wanted."""
        return sum(1 for _record in every(self.find, workspace, wanted))

    @abstractmethod
    def open(self, at: Address, fields: Mapping[str, Any] = NOTHING) -> tuple[SessionRecord, bool]:
        """The session, made with these of OPEN_FIELDS where there is none, and whether it was made.

        Making it is a change: it begins at version 1, so that 0 stays the version of what is not there. The first
        message of a session made with a ``base_seq`` is at the position after it.

        Raises:
            WorkspaceNotFound: the workspace is unknown and may not be created.
            BranchNotFound: the session has no such branch.
        """

    @abstractmethod
    def update(self, at: Address, fields: Mapping[str, Any]) -> SessionRecord:
        """Set some of SESSION_FIELDS; the version moves.

        Raises:
            SessionNotFound: there is no such session.
        """

    @abstractmethod
    def delete(self, at: Address) -> bool:
        """Remove the session and its messages for good; False where there was none."""

    async def aget(self, at: Address) -> SessionRecord | None:
        """Async twin of ``get``."""
        return await self._hop(self.get)(at)

    async def afind(
        self, workspace: str, wanted: Filter = EVERY, *, before: Cursor | None = None, size: int = 50
    ) -> list[SessionRecord]:
        """Async twin of ``find``."""
        return await self._hop(self.find)(workspace, wanted, before=before, size=size)

    async def acount(self, workspace: str, wanted: Filter = EVERY) -> int:
        """Async twin of ``count``."""
        return await self._hop(self.count)(workspace, wanted)

    async def aopen(self, at: Address, fields: Mapping[str, Any] = NOTHING) -> tuple[SessionRecord, bool]:
        """Async twin of ``open``."""
        return await self._hop(self.open)(at, fields)

    async def aupdate(self, at: Address, fields: Mapping[str, Any]) -> SessionRecord:
        """Async twin of ``update``."""
        return await self._hop(self.update)(at, fields)

    async def adelete(self, at: Address) -> bool:
        """Async twin of ``delete``."""
        return await self._hop(self.delete)(at)


class BranchStore(Store):
    """The branches of a conversation and what is changed in the midst of it; where the flag ``can_branch`` says so."""

    def branches(self, at: Address) -> list[Branch]:
        """All branches of the conversation, ``main`` first, then as they were made; none where there is no session."""
        raise NotSupported("this back end has no branches")

    def fork(self, at: Address, name: str, seq: int | None = None, *, switch: bool = False) -> tuple[Branch, Header]:
        """A new branch that shares the messages up to ``seq`` (None: all), in time that does not grow with them.

        An unknown conversation is made first, since ``main`` exists from the start. ``switch``: it speaks for the
        conversation from the same moment on.

        Returns:
            The branch, and the state of the one it left at that moment.

        Raises:
            BranchExists: there is one of this name.
            BranchNotFound: the address names a branch that is not there.
            MessageNotFound: the address shows no message at ``seq``, nor does it begin after it.
            WorkspaceNotFound: the workspace is unknown and may not be created.
        """
        raise NotSupported("this back end has no branches")

    def switch(self, at: Address, name: str) -> Header | None:
        """Let a branch speak for the conversation; its state, newer than any this conversation has shown before.

        None where it spoke already, or where nothing was ever stored and ``main`` is meant.

        Raises:
            BranchNotFound: there is no such branch.
        """
        raise NotSupported("this back end has no branches")

    def edit(self, at: Address, message: Message) -> Commit:
        """Give the message at a position other content and tokens, on every branch that shares it.

        The former content is kept, for ``revisions``.

        Raises:
            MessageNotFound: the address shows no message at that position.
        """
        raise NotSupported("this back end cannot edit messages")

    def revisions(self, at: Address, seq: int) -> list[Revision]:
        """What the visible message at a position said before its edits, oldest first."""
        raise NotSupported("this back end cannot edit messages")

    async def abranches(self, at: Address) -> list[Branch]:
        """Async twin of ``branches``."""
        return await self._hop(self.branches)(at)

    async def afork(
        self, at: Address, name: str, seq: int | None = None, *, switch: bool = False
    ) -> tuple[Branch, Header]:
        """Async twin of ``fork``."""
        return await self._hop(self.fork)(at, name, seq, switch=switch)

    async def aswitch(self, at: Address, name: str) -> Header | None:
        """Async twin of ``switch``."""
        return await self._hop(self.switch)(at, name)

    async def aedit(self, at: Address, message: Message) -> Commit:
        """Async twin of ``edit``."""
        return await self._hop(self.edit)(at, message)

    async def arevisions(self, at: Address, seq: int) -> list[Revision]:
        """Async twin of ``revisions``."""
        return await self._hop(self.revisions)(at, seq)


class SummaryStore(Store):
    """Summaries of conversations; where the flag ``can_summarize`` says so."""

    def summaries(self, at: Address) -> list[Summary]:
        """Those of visible messages, on the branch or on what it shares, oldest first."""
        raise NotSupported("this back end keeps no summaries")

    def claim_summary(self, at: Address, keep: int) -> Claim | None:
        """The right to summarise all but the newest ``keep`` messages.

        None where there is nothing new to cover, or somebody else has the right and it has not lapsed.

        Raises:
            TransactionOpen: the caller holds a transaction open.
        """
        raise NotSupported("this back end keeps no summaries")

    def keep_summary(self, at: Address, claim: Claim, summary: Summary) -> bool:
        """Keep what was claimed; False where the right has lapsed to another, or what it covers is no longer shown."""
        raise NotSupported("this back end keeps no summaries")

    def release_summary(self, at: Address, claim: Claim) -> None:
        """Give the right back, so that another may have it at once."""
        raise NotSupported("this back end keeps no summaries")

    async def asummaries(self, at: Address) -> list[Summary]:
        """Async twin of ``summaries``."""
        return await self._hop(self.summaries)(at)

    async def aclaim_summary(self, at: Address, keep: int) -> Claim | None:
        """Async twin of ``claim_summary``."""
        return await self._hop(self.claim_summary)(at, keep)

    async def akeep_summary(self, at: Address, claim: Claim, summary: Summary) -> bool:
        """Async twin of ``keep_summary``."""
        return await self._hop(self.keep_summary)(at, claim, summary)

    async def arelease_summary(self, at: Address, claim: Claim) -> None:
        """Async twin of ``release_summary``."""
        return await self._hop(self.release_summary)(at, claim)


class Adapter(MessageStore, SessionStore, BranchStore, SummaryStore):
    """A whole back end. The flags say which optional parts it has; a call to a missing one raises NotSupported."""

    durable: bool = False
    """Whether a conversation outlives the process."""
    transactional: bool = False
    """Whether ``append_many`` works, and a caller's own transaction covers the calls."""
    can_branch: bool = False
    """Whether it can fork a conversation."""
    can_summarize: bool = False
    """Whether it keeps summaries."""

    @property
    def identity(self) -> str:
        """What tells this store from another one that a cache may serve too."""
        return f"{type(self).__name__}:{id(self)}"

    @property
    def schema(self) -> str:
        """In which of several sets of tables names are looked up now; "" where there is one."""
        return ""

    @property
    def alias(self) -> str | None:
        """The database alias it works on; None where it has no database."""
        return None

    def usage(self, workspace: str, wanted: Filter = EVERY) -> Usage:
        """What the wanted conversations of a workspace hold, each of their stored messages counted once.

        Those that ``clear()`` has hidden count as long as the back end keeps them, and can say so.
        """
        keys = [record.key for record in every(self.find, workspace, wanted)]
        return sum((self._usage_of(Address(workspace, key)) for key in keys), Usage())

    async def ausage(self, workspace: str, wanted: Filter = EVERY) -> Usage:
        """Async twin of ``usage``."""
        return await self._hop(self.usage)(workspace, wanted)

    def _usage_of(self, at: Address) -> Usage:
        own = {branch.name: branch.fork_seq for branch in self.branches(at)} if self.can_branch else {MAIN_BRANCH: 0}
        places = {msgspec.structs.replace(at, branch=name): Span(after=seq) for name, seq in own.items()}
        return Usage.of(message for place, span in places.items() for message in self.read(place, span).messages)

    def in_transaction(self) -> bool:
        """Whether what is read now may be rolled back."""
        return False

    def after_commit(self, call: Callable[[], None]) -> None:
        """Call once what was written is committed; at once where no transaction is open, never after a rollback."""
        call()
