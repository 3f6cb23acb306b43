"""Owns the conversation, the one handle users hold; it must not know which adapter serves it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from asgiref.sync import sync_to_async
from django.dispatch import Signal

from chat_memory import wiring
from chat_memory.choices import MAIN_BRANCH
from chat_memory.exceptions import ValidationError, VersionConflict
from chat_memory.history.announcing import announce
from chat_memory.history.naming import SessionRow, address, address_of
from chat_memory.history.stamping import limits, stamped
from chat_memory.history.validation import check_session_fields
from chat_memory.records import Address, Commit, Header, Json, Message, Receipt, SessionRecord, Slice, Span
from chat_memory.signals import messages_appended, session_cleared, session_created, session_deleted, session_updated
from chat_memory.storage.base import Adapter

MAX_POSITION = 2**62


class Conversation:
    """A conversation by its names: building one costs no query, and it may be kept or thrown away.

    Reads of an unknown conversation give nothing; the first append makes it. Every method ``x`` that does I/O has an
    async twin ``ax`` of the same signature, one thread hop each.
    """

    def __init__(self, address: Address, adapter: Adapter, using: tuple[str | None] | None = None) -> None:
        self._address = address
        self._adapter = adapter
        self._using = using

    def __repr__(self) -> str:
        at = self._address
        return f"<Conversation {at.workspace}/{at.key}" + (f"@{at.branch}>" if at.branch != MAIN_BRANCH else ">")

    @property
    def workspace(self) -> str:
        """The workspace's slug."""
        return self._address.workspace

    @property
    def key(self) -> str:
        """The session's key."""
        return self._address.key

    @property
    def branch(self) -> str:
        """The branch this handle speaks of."""
        return self._address.branch

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
            if_version = _count(if_version, "if_version")
        if not messages:
            return self._nothing(if_version)
        commit = self._adapter.append(self._address, stamped(messages), if_version=if_version)
        return self._receipt(commit)

    def tail(self, n: int, *, min_version: int = 0) -> list[Message]:
        """The newest ``n`` messages, oldest first (FEATURES N41).

        Args:
            n: how many; 0 gives none.
            min_version: with the cache in mode bounded, no state before this version (a receipt's, to read one's own
                writes). Without it, or in any other mode, reads are never behind.

        Raises:
            ValidationError: ``n`` is negative.
        """
        n = _count(n)
        return self._read(Span(last=n, min_version=min_version)) if n else []

    def tail_json(self, n: int, *, min_version: int = 0) -> bytes:
        """As ``tail``, as the JSON list the API answers; from a warm cache without decoding a message."""
        n = _count(n)
        return self.read_json(Span(last=n, min_version=min_version)).body if n else b"[]"

    def head(self, n: int, *, min_version: int = 0) -> list[Message]:
        """The oldest ``n`` messages, oldest first.

        Raises:
            ValidationError: ``n`` is negative.
        """
        n = _count(n)
        return self._read(Span(first=n, min_version=min_version)) if n else []

    def messages(self, *, min_version: int = 0) -> list[Message]:
        """The whole conversation, oldest first."""
        return self._read(Span(min_version=min_version))

    def since(self, seq: int, *, min_version: int = 0) -> list[Message]:
        """The messages after position ``seq``, oldest first."""
        return self._read(Span(after=_count(seq, "seq"), min_version=min_version))

    def read(self, span: Span) -> Slice:
        """The messages of a span, oldest first, with the state of the session they belong to: one snapshot.

        Raises:
            ValidationError: a bound is no whole number from 0, or both ``first`` and ``last`` are given.
        """
        _check_span(span)
        found = self._adapter.read(self._address, span)
        self._remember(found.header)
        return found

    def read_json(self, span: Span) -> Json:
        """As ``read``, as the JSON list the API answers, with how many messages are in it."""
        _check_span(span)
        found = self._adapter.read_json(self._address, span)
        self._remember(found.header)
        return found

    def count(self) -> int:
        """How many messages the conversation has."""
        record = self.session()
        return record.message_count if record else 0

    def session(self) -> SessionRecord | None:
        """The session without its messages; None where nothing was stored yet."""
        return self._adapter.get(self._address)

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
        """Hide all messages from every reader; positions go on from where they were (FEATURES N32)."""
        change = self._adapter.clear(self._address)
        if change is not None:
            self._announce(session_cleared, version=change.header.version)

    def delete(self) -> bool:
        """Remove the conversation and its messages for good; False where there was none."""
        deleted = self._adapter.delete(self._address)
        if deleted:
            self._announce(session_deleted)
        return deleted

    async def aappend(self, *messages: Message, if_version: int | None = None) -> Receipt:
        """Async twin of ``append``."""
        return await sync_to_async(self.append)(*messages, if_version=if_version)

    async def atail(self, n: int, *, min_version: int = 0) -> list[Message]:
        """Async twin of ``tail``."""
        return await sync_to_async(self.tail)(n, min_version=min_version)

    async def atail_json(self, n: int, *, min_version: int = 0) -> bytes:
        """Async twin of ``tail_json``."""
        return await sync_to_async(self.tail_json)(n, min_version=min_version)

    async def ahead(self, n: int, *, min_version: int = 0) -> list[Message]:
        """Async twin of ``head``."""
        return await sync_to_async(self.head)(n, min_version=min_version)

    async def amessages(self, *, min_version: int = 0) -> list[Message]:
        """Async twin of ``messages``."""
        return await sync_to_async(self.messages)(min_version=min_version)

    async def asince(self, seq: int, *, min_version: int = 0) -> list[Message]:
        """Async twin of ``since``."""
        return await sync_to_async(self.since)(seq, min_version=min_version)

    async def aread(self, span: Span) -> Slice:
        """Async twin of ``read``."""
        return await sync_to_async(self.read)(span)

    async def aread_json(self, span: Span) -> Json:
        """Async twin of ``read_json``."""
        return await sync_to_async(self.read_json)(span)

    async def acount(self) -> int:
        """Async twin of ``count``."""
        return await sync_to_async(self.count)()

    async def asession(self) -> SessionRecord | None:
        """Async twin of ``session``."""
        return await sync_to_async(self.session)()

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

    def _read(self, span: Span) -> list[Message]:
        return self.read(span).messages

    def __reduce__(self) -> Any:
        # An adapter of the settings is found again where the handle arrives; it may hold a connection here.
        if self._using is None:
            return Conversation, (self._address, self._adapter)
        return _revived, (self._address, *self._using)

    def _announce(self, signal: Signal, **said: Any) -> None:
        announce(signal, Conversation, self._adapter, self._address, **said)

    def _receipt(self, commit: Commit) -> Receipt:
        self._remember(commit.header)
        header, change = commit.header, commit.change
        if change is not None:
            if change.prev_version == 0:  # no session is at version 0 but one that this very append made
                self._announce(session_created, version=header.version)
            self._announce(messages_appended, count=change.added, last_seq=header.last_seq, version=header.version)
        positions = [message.seq for message in commit.messages if message.seq is not None]
        return Receipt(min(positions), max(positions), commit.header.version, commit.change is None, commit.messages)

    def _nothing(self, if_version: int | None) -> Receipt:
        record = self.session()
        version = record.version if record else 0
        if if_version is not None and if_version != version:
            raise VersionConflict(if_version, version)
        return Receipt(None, None, version, False, ())

    def _remember(self, header: Header | None) -> None:
        if header is not None and header.session_id != self._address.session_id:
            self._address = msgspec.structs.replace(
                self._address, session_id=header.session_id, workspace_id=header.workspace_id
            )


def conversation(
    key: str,
    workspace: str | None = None,
    *,
    user: Any = None,
    branch: str = MAIN_BRANCH,
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
        branch: which branch of the conversation.
        using: the database alias; None: where the router writes sessions.
        adapter: another back end than Django's models, such as ``chat_memory.storage.memory.MemoryAdapter()``.
        cache_ttl: how many seconds the cache in mode strict keeps the conversation after a fill or an append through
            this handle; None: until it is evicted, 0: the conversation is not cached; not given: as CACHE_TTL says.

    Raises:
        ValidationError: a name or ``cache_ttl`` is not usable; the text says which.
    """
    at = address(key, workspace, user, branch, cache_ttl)
    return _revived(at, using) if adapter is None else Conversation(at, adapter)


def of_session(session: SessionRow) -> Conversation:
    """The conversation of a session row, on the database the row came from.

    It is of that row alone: once the session is deleted it reads as empty, and an append raises SessionNotFound.
    """
    using: str | None = getattr(getattr(session, "_state", None), "db", None)
    return _revived(address_of(session), using)


def _revived(at: Address, using: str | None) -> Conversation:
    """A handle on the adapter the settings name."""
    return Conversation(at, wiring.adapter(using), (using,))


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


def _check_span(span: Span) -> None:
    if not isinstance(span, Span):
        raise ValidationError(f"must be a Span, not {type(span).__name__}", field="span")
    for field in ("after", "before", "first", "last"):
        if getattr(span, field) is not None:
            _count(getattr(span, field), field)
    if span.first is not None and span.last is not None:
        raise ValidationError("first and last exclude each other", field="span")


def _shared_adapter(chats: Sequence[Conversation]) -> Adapter:
    adapter = chats[0]._adapter
    if any(chat._adapter.identity != adapter.identity for chat in chats):
        raise ValidationError("append_many takes conversations of one back end")
    names = {(chat.workspace, chat.key, chat.branch) for chat in chats}
    if len(names) != len(chats):
        raise ValidationError("append_many takes each conversation once")
    return adapter


def _count(number: object, field: str = "n") -> int:
    """A number of messages, or a position.

    Raises:
        ValidationError: not a whole number, or negative (FEATURES J14).
    """
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise ValidationError("must be a whole number from 0", field=field)
    return min(number, MAX_POSITION)
