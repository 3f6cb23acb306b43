"""Owns handing every verb on to another adapter; a subclass adds what it does better, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

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
from chat_memory.storage.base import EVERYTHING, NOTHING, Adapter, Batch
from chat_memory.storage.listing import EVERY, Cursor, Filter, Usage


class PassingAdapter(Adapter):
    """An adapter in front of another one."""

    def __init__(self, inner: Adapter) -> None:
        self._inner = inner
        self.durable, self.transactional = inner.durable, inner.transactional
        self.can_branch, self.can_summarize = inner.can_branch, inner.can_summarize

    def append(self, at: Address, messages: Sequence[Message], *, if_version: int | None = None) -> Commit:
        """See ``MessageStore.append``."""
        return self._inner.append(at, messages, if_version=if_version)

    def append_many(self, batches: Sequence[Batch]) -> list[Commit]:
        """See ``MessageStore.append_many``."""
        return self._inner.append_many(batches)

    def read(self, at: Address, span: Span = EVERYTHING) -> Slice:
        """See ``MessageStore.read``."""
        return self._inner.read(at, span)

    def peek(self, at: Address) -> Header | None:
        """See ``MessageStore.peek``."""
        return self._inner.peek(at)

    def window(self, at: Address, budget: Budget) -> Slice:
        """See ``MessageStore.window``."""
        return self._inner.window(at, budget)

    def locate(self, at: Address, message_id: str) -> int | None:
        """See ``MessageStore.locate``."""
        return self._inner.locate(at, message_id)

    def clear(self, at: Address) -> Change | None:
        """See ``MessageStore.clear``."""
        return self._inner.clear(at)

    def get(self, at: Address) -> SessionRecord | None:
        """See ``SessionStore.get``."""
        return self._inner.get(at)

    def find(
        self, workspace: str, wanted: Filter = EVERY, *, before: Cursor | None = None, size: int = 50
    ) -> list[SessionRecord]:
        """See ``SessionStore.find``."""
        return self._inner.find(workspace, wanted, before=before, size=size)

    def count(self, workspace: str, wanted: Filter = EVERY) -> int:
        """See ``SessionStore.count``."""
        return self._inner.count(workspace, wanted)

    def usage(self, workspace: str, wanted: Filter = EVERY) -> Usage:
        """See ``Adapter.usage``."""
        return self._inner.usage(workspace, wanted)

    def open(self, at: Address, fields: Mapping[str, Any] = NOTHING) -> tuple[SessionRecord, bool]:
        """See ``SessionStore.open``."""
        return self._inner.open(at, fields)

    def update(self, at: Address, fields: Mapping[str, Any]) -> SessionRecord:
        """See ``SessionStore.update``."""
        return self._inner.update(at, fields)

    def delete(self, at: Address) -> bool:
        """See ``SessionStore.delete``."""
        return self._inner.delete(at)

    def branches(self, at: Address) -> list[Branch]:
        """See ``BranchStore.branches``."""
        return self._inner.branches(at)

    def fork(self, at: Address, name: str, seq: int | None = None, *, switch: bool = False) -> tuple[Branch, Header]:
        """See ``BranchStore.fork``."""
        return self._inner.fork(at, name, seq, switch=switch)

    def switch(self, at: Address, name: str) -> Header | None:
        """See ``BranchStore.switch``."""
        return self._inner.switch(at, name)

    def edit(self, at: Address, message: Message) -> Commit:
        """See ``BranchStore.edit``."""
        return self._inner.edit(at, message)

    def revisions(self, at: Address, seq: int) -> list[Revision]:
        """See ``BranchStore.revisions``."""
        return self._inner.revisions(at, seq)

    def summaries(self, at: Address) -> list[Summary]:
        """See ``SummaryStore.summaries``."""
        return self._inner.summaries(at)

    def claim_summary(self, at: Address, keep: int) -> Claim | None:
        """See ``SummaryStore.claim_summary``."""
        return self._inner.claim_summary(at, keep)

    def keep_summary(self, at: Address, claim: Claim, summary: Summary) -> bool:
        """See ``SummaryStore.keep_summary``."""
        return self._inner.keep_summary(at, claim, summary)

    def release_summary(self, at: Address, claim: Claim) -> None:
        """See ``SummaryStore.release_summary``."""
        self._inner.release_summary(at, claim)

    @property
    def identity(self) -> str:
        """See ``Adapter.identity``."""
        return self._inner.identity

    @property
    def schema(self) -> str:
        """See ``Adapter.schema``."""
        return self._inner.schema

    @property
    def alias(self) -> str | None:
        """See ``Adapter.alias``."""
        return self._inner.alias

    def in_transaction(self) -> bool:
        """See ``Adapter.in_transaction``."""
        return self._inner.in_transaction()

    def after_commit(self, call: Callable[[], None]) -> None:
        """See ``Adapter.after_commit``."""
        self._inner.after_commit(call)
