"""Owns an adapter that forwards every call to another one; a subclass overrides the calls it can answer itself."""

from __future__ import annotations

from collections.abc import Sequence

from chat_memory.records import Address, Budget, Change, Commit, Header, Json, Message, Slice, Span
from chat_memory.storage.contract import ALL_MESSAGES, Adapter, Batch, MessageStore


class ForwardingAdapter(Adapter):
    """An adapter whose parts and properties are those of the inner adapter."""

    def __init__(self, inner: Adapter) -> None:
        self._inner = inner
        self.messages = inner.messages
        self.sessions = inner.sessions
        self.branches = inner.branches
        self.changes = inner.changes
        self.cuts = inner.cuts
        self.edits = inner.edits
        self.summaries = inner.summaries
        self.archive = inner.archive
        self.feedback = inner.feedback
        self.attachments = inner.attachments
        self.drafts = inner.drafts
        self.turns = inner.turns
        self.undropped = inner.undropped
        self.search = inner.search
        self.vectors = inner.vectors

    @property
    def name(self) -> str:
        """See ``Adapter.name``; it is the inner adapter's, since that is the one that may lack a part."""
        return self._inner.name

    @property
    def source(self) -> object:
        """See ``Adapter.source``."""
        return self._inner.source

    @property
    def identity(self) -> str:
        """See ``Adapter.identity``."""
        return self._inner.identity

    @property
    def unique_name(self) -> str:
        """See ``Adapter.unique_name``."""
        return self._inner.unique_name

    @property
    def alias(self) -> str | None:
        """See ``Adapter.alias``."""
        return self._inner.alias

    def in_transaction(self) -> bool:
        """See ``Adapter.in_transaction``."""
        return self._inner.in_transaction()


class ForwardingMessages(MessageStore):
    """A part of messages that forwards every call to the inner part."""

    def __init__(self, inner: MessageStore) -> None:
        self._inner = inner

    def append(
        self, at: Address, messages: Sequence[Message], *, title: str | None = None, if_version: int | None = None
    ) -> Commit:
        """See ``MessageStore.append``."""
        return self._inner.append(at, messages, title=title, if_version=if_version)

    def append_many(self, batches: Sequence[Batch]) -> list[Commit]:
        """See ``MessageStore.append_many``."""
        return self._inner.append_many(batches)

    def read(self, at: Address, span: Span = ALL_MESSAGES) -> Slice:
        """See ``MessageStore.read``."""
        return self._inner.read(at, span)

    def peek(self, at: Address) -> Header | None:
        """See ``MessageStore.peek``."""
        return self._inner.peek(at)

    def read_json(self, at: Address, span: Span = ALL_MESSAGES) -> Json:
        """See ``MessageStore.read_json``."""
        return self._inner.read_json(at, span)

    def window(self, at: Address, budget: Budget) -> Slice:
        """See ``MessageStore.window``."""
        return self._inner.window(at, budget)

    def window_within(self, at: Address, budget: Budget, *, size: int, most: int) -> tuple[Slice, bool]:
        """See ``MessageStore.window_within``."""
        return self._inner.window_within(at, budget, size=size, most=most)

    def locate(self, at: Address, message_id: str) -> int | None:
        """See ``MessageStore.locate``."""
        return self._inner.locate(at, message_id)

    def pop(self, at: Address) -> Commit | None:
        """See ``MessageStore.pop``."""
        return self._inner.pop(at)

    def clear(self, at: Address) -> Change | None:
        """See ``MessageStore.clear``."""
        return self._inner.clear(at)
