"""Owns the storage contract, nine verbs in two parts with their ``a`` twins; it must not know any database.

An adapter trusts its input: messages are validated and carry an id and a time. It promises, and the conformance kit
(``chat_memory.testing.conformance``) proves: positions are dense and never go back, an id is stored once, a call is
stored whole or not at all, its messages stay adjacent, reads come from one snapshot and never write.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import sync_to_async

from chat_memory.records import Address, Change, Commit, Header, Json, Message, SessionRecord, Slice, Span
from chat_memory.storage.mapping import to_json

Batch = tuple[Address, Sequence[Message]]
EVERYTHING = Span()
NOTHING: Mapping[str, Any] = MappingProxyType({})
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
        self, workspace: str, *, user_key: str | None = None, before: SessionRecord | None = None, size: int = 50
    ) -> list[SessionRecord]:
        """At most ``size`` conversations of a workspace, last changed first, those after ``before`` in that order."""

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
        self, workspace: str, *, user_key: str | None = None, before: SessionRecord | None = None, size: int = 50
    ) -> list[SessionRecord]:
        """Async twin of ``find``."""
        return await self._hop(self.find)(workspace, user_key=user_key, before=before, size=size)

    async def aopen(self, at: Address, fields: Mapping[str, Any] = NOTHING) -> tuple[SessionRecord, bool]:
        """Async twin of ``open``."""
        return await self._hop(self.open)(at, fields)

    async def aupdate(self, at: Address, fields: Mapping[str, Any]) -> SessionRecord:
        """Async twin of ``update``."""
        return await self._hop(self.update)(at, fields)

    async def adelete(self, at: Address) -> bool:
        """Async twin of ``delete``."""
        return await self._hop(self.delete)(at)


class Adapter(MessageStore, SessionStore):
    """A whole back end. The flags say which optional parts it has; a call to a missing one raises NotSupported."""

    durable: bool = False
    """Whether a conversation outlives the process."""
    transactional: bool = False
    """Whether ``append_many`` works, and a caller's own transaction covers the calls."""
    branches: bool = False
    """Whether it can fork a conversation."""
    summaries: bool = False
    """Whether it keeps summaries."""

    @property
    def identity(self) -> str:
        """What tells this store from another one that a cache may serve too."""
        return f"{type(self).__name__}:{id(self)}"

    @property
    def alias(self) -> str | None:
        """The database alias it works on; None where it has no database."""
        return None

    def in_transaction(self) -> bool:
        """Whether what is read now may be rolled back."""
        return False

    def after_commit(self, call: Callable[[], None]) -> None:
        """Call once what was written is committed; at once where no transaction is open, never after a rollback."""
        call()
