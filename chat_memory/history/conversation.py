"""Owns the conversation, the one handle users hold; it must not know which adapter serves it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from asgiref.sync import sync_to_async

from chat_memory.exceptions import ValidationError
from chat_memory.history.bounds import whole
from chat_memory.history.branches import Branches
from chat_memory.history.handle import on_settings
from chat_memory.history.naming import SessionRow, address, address_of
from chat_memory.history.stamping import limits, stamped
from chat_memory.history.summaries import Summaries
from chat_memory.history.validation import check_session_fields
from chat_memory.history.windows import Windows
from chat_memory.records import Message, Receipt, SessionRecord
from chat_memory.signals import session_cleared, session_created, session_deleted, session_updated
from chat_memory.storage.base import Adapter


class Conversation(Windows, Summaries, Branches):
    """A conversation by its names: building one costs no query, and it may be kept or thrown away.

    Reads of an unknown conversation give nothing; the first append makes it. Every method ``x`` that does I/O has an
    async twin ``ax`` of the same signature, one thread hop each.
    """

    def append(self, *messages: Message, if_version: int | None = None) -> Receipt:
        """Store the messages, adjacent and in this order, exactly once.

        A message whose id is stored already is replayed: the answer holds the stored one. Without an id it gets one,
        so a caller who wants to retry gives the ids.

        Args:
            messages: what to store; none at all is allowed and does nothing.
            if_version: refuse when the session has changed since this version (0: when it exists at all).

        Raises:
            ValidationError: a message cannot be stored; nothing was written.
            MessageConflict: an id is stored with other content.
            VersionConflict: the session is not at ``if_version``.
            WorkspaceNotFound: the workspace is unknown and CREATE_WORKSPACES is False.
            BranchNotFound: there is no such branch.
        """
        if if_version is not None:
            if_version = whole(if_version, "if_version")
        if not messages:
            return self._unchanged(if_version)
        commit = self._adapter.append(self._address, stamped(messages), if_version=if_version)
        return self._receipt(commit)

    def open(self, **fields: Any) -> SessionRecord:
        """The session, made with these fields where there is none; a session that exists is left as it is.

        Args:
            fields: title, tags, metadata, pinned, archived_at, expires_at.

        Raises:
            ValidationError: a field cannot be stored.
            WorkspaceNotFound: the workspace is unknown and CREATE_WORKSPACES is False.
            BranchNotFound: there is no such branch.
        """
        record, _made = self.get_or_create(**fields)
        return record

    def get_or_create(self, **fields: Any) -> tuple[SessionRecord, bool]:
        """As ``open``, with whether this call made the session."""
        record, made = self._adapter.open(self._address, check_session_fields(fields, limits()))
        if made:
            self._announce(session_created, version=record.version)
        return record, made

    def update(self, **fields: Any) -> SessionRecord:
        """Set title, tags, metadata, pinned, archived_at or expires_at.

        Raises:
            ValidationError: a field cannot be stored.
            SessionNotFound: there is no such session.
        """
        record = self._adapter.update(self._address, check_session_fields(fields, limits()))
        self._announce(session_updated, fields=tuple(fields), version=record.version)
        return record

    def clear(self) -> None:
        """Hide all messages from every reader; positions go on from where they were (FEATURES N32).

        Other branches go on showing what they share.
        """
        change = self._adapter.clear(self._address)
        if change is not None:
            self._announce(session_cleared, version=change.header.version)

    def delete(self) -> bool:
        """Remove the conversation with all its branches for good; False where there was none.

        A handle that was given a branch other than ``main`` removes that branch alone.

        Raises:
            BranchInUse: other branches share messages of this one.
        """
        deleted = self._adapter.delete(self._address)
        if deleted:
            self._announce(session_deleted, branch=self.branch)
        return deleted

    async def aappend(self, *messages: Message, if_version: int | None = None) -> Receipt:
        """Async twin of ``append``."""
        return await sync_to_async(self.append)(*messages, if_version=if_version)

    async def aopen(self, **fields: Any) -> SessionRecord:
        """Async twin of ``open``."""
        return await sync_to_async(self.open)(**fields)

    async def aget_or_create(self, **fields: Any) -> tuple[SessionRecord, bool]:
        """Async twin of ``get_or_create``."""
        return await sync_to_async(self.get_or_create)(**fields)

    async def aupdate(self, **fields: Any) -> SessionRecord:
        """Async twin of ``update``."""
        return await sync_to_async(self.update)(**fields)

    async def aclear(self) -> None:
        """Async twin of ``clear``."""
        return await sync_to_async(self.clear)()

    async def adelete(self) -> bool:
        """Async twin of ``delete``."""
        return await sync_to_async(self.delete)()


Conversation._sender = Conversation  # of its subclasses, too


def conversation(
    key: str,
    workspace: str | None = None,
    *,
    user: Any = None,
    branch: str | None = None,
    using: str | None = None,
    adapter: Adapter | None = None,
    cache_ttl: float | msgspec.UnsetType | None = msgspec.UNSET,
) -> Conversation:
    """A conversation by its names, without I/O.

    Args:
        key: the session key, any text of 1..255 characters without control characters.
        workspace: the tenant's slug; None: DEFAULT_WORKSPACE.
        user: whose conversation it is where this call makes it or nobody owns it yet: a user object, or the user's
            key in another system as text.
        branch: which branch of the conversation; None: the one that speaks for it, whichever ``switch`` made that.
        using: the database alias; None: where the router writes sessions.
        adapter: another back end than Django's models, such as ``chat_memory.storage.memory.MemoryAdapter()``.
        cache_ttl: how many seconds the cache in mode strict keeps the conversation after a fill or an append through
            this handle; None: until it is evicted, 0: the conversation is not cached; not given: as CACHE_TTL says.

    Raises:
        ValidationError: a name or ``cache_ttl`` is not usable; the text says which.
    """
    at = address(key, workspace, user, branch, cache_ttl)
    return on_settings(Conversation, at, using) if adapter is None else Conversation(at, adapter)


def of_session(session: SessionRow) -> Conversation:
    """The conversation of a session row, on the database the row came from.

    It is of that row alone: once the session is deleted it reads as empty, and an append raises SessionNotFound.
    """
    using: str | None = getattr(getattr(session, "_state", None), "db", None)
    return on_settings(Conversation, address_of(session), using)


def append_many(batches: Mapping[Conversation, Iterable[Message]]) -> dict[Conversation, Receipt]:
    """Append to several conversations in one transaction, all or nothing; sessions are locked in sorted order.

    Raises:
        ValidationError: a message cannot be stored, or two conversations are one or live in different back ends.
        NotSupported: the back end cannot change several sessions at once.
        ChatMemoryError: as ``Conversation.append``.
    """
    given = {chat: _listed(messages) for chat, messages in _pairs(batches)}
    chats = [chat for chat, messages in given.items() if messages]
    receipts = {chat: chat.append() for chat, messages in given.items() if not messages}
    if chats:
        commits = _shared_adapter(chats).append_many([(chat._address, stamped(given[chat])) for chat in chats])
        receipts |= {chat: chat._receipt(commit) for chat, commit in zip(chats, commits, strict=True)}
    return {chat: receipts[chat] for chat in given}


async def aappend_many(batches: Mapping[Conversation, Iterable[Message]]) -> dict[Conversation, Receipt]:
    """Async twin of ``append_many``."""
    return await sync_to_async(append_many)(batches)


def _pairs(batches: object) -> Iterable[tuple[Conversation, Any]]:
    if not isinstance(batches, Mapping) or not all(isinstance(chat, Conversation) for chat in batches):
        raise ValidationError("append_many takes a mapping of conversations to messages")
    return batches.items()


def _listed(messages: object) -> list[Message]:
    if isinstance(messages, (str, bytes, Message)) or not isinstance(messages, Iterable):
        raise ValidationError(f"must be some messages, not {type(messages).__name__}", field="messages")
    return list(messages)


def _shared_adapter(chats: Sequence[Conversation]) -> Adapter:
    adapter = chats[0]._adapter
    if any(chat._adapter.identity != adapter.identity for chat in chats):
        raise ValidationError("append_many takes conversations of one back end")
    names = {(chat.workspace, chat.key, chat.branch) for chat in chats}
    if len(names) != len(chats):
        raise ValidationError("append_many takes each conversation once")
    return adapter
