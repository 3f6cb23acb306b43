"""Owns the contract over Django's models: it chooses the database and delegates; it must not hold SQL."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.db import connections, router, transaction

from chat_memory.models import Session
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
from chat_memory.storage.orm import appending, branching, listing, reading, sessions, summarizing
from chat_memory.storage.orm.transactions import retrying


class DjangoAdapter(Adapter):
    """Conversations in Django's models on PostgreSQL or SQLite, in the caller's transaction where there is one."""

    durable = True
    transactional = True
    can_branch = True
    can_summarize = True

    def __init__(self, using: str | None = None) -> None:
        self._using = using

    @property
    def alias(self) -> str:
        """The database alias: reads go where writes go, so that a history is never behind itself."""
        return self._using or router.db_for_write(Session)

    @property
    def identity(self) -> str:
        """See ``Adapter.identity``."""
        database = connections[self.alias].settings_dict
        options = database.get("OPTIONS", {})
        names = [database[name] for name in ("ENGINE", "HOST", "PORT", "NAME")]
        return "\n".join(map(str, [*names, *(options.get(name, "") for name in ("service", "options"))]))

    @property
    def schema(self) -> str:
        """See ``Adapter.schema``: PostgreSQL's, where the connection says so, as that of django-tenants does."""
        return getattr(connections[self.alias], "schema_name", None) or ""

    def in_transaction(self) -> bool:
        """See ``Adapter.in_transaction``."""
        connection = connections[self.alias]
        # A connection not yet made is in no transaction, and a cache hit need not make one.
        return connection.connection is not None and (connection.in_atomic_block or not connection.autocommit)

    def after_commit(self, call: Callable[[], None]) -> None:
        """See ``Adapter.after_commit``; an error of the call is logged, since the commit cannot be undone.

        With autocommit off Django cannot tell when the caller commits, so the call is left out.
        """
        connection = connections[self.alias]
        if connection.in_atomic_block or connection.autocommit:
            transaction.on_commit(call, using=self.alias, robust=True)

    def append(self, at: Address, messages: Sequence[Message], *, if_version: int | None = None) -> Commit:
        """See ``MessageStore.append``."""
        return appending.append(self.alias, at, messages, if_version)

    def append_many(self, batches: Sequence[Batch]) -> list[Commit]:
        """See ``MessageStore.append_many``; sessions are locked in sorted order, so that two calls never deadlock."""
        alias = self.alias
        order = sorted(range(len(batches)), key=lambda index: _sort_key(batches[index][0]))

        def write() -> list[Commit]:
            # A refusal of a later batch must take the earlier ones with it: in the caller's transaction, a savepoint.
            with transaction.atomic(using=alias):
                done = {index: appending.append_locked(alias, *batches[index], None) for index in order}
                return [done[index] for index in range(len(batches))]

        return retrying(alias, write)

    def read(self, at: Address, span: Span = EVERYTHING) -> Slice:
        """See ``MessageStore.read``."""
        return reading.read(self.alias, at, span)

    def peek(self, at: Address) -> Header | None:
        """See ``MessageStore.peek``."""
        return reading.peek(self.alias, at)

    def window(self, at: Address, budget: Budget) -> Slice:
        """See ``MessageStore.window``."""
        return reading.window(self.alias, at, budget)

    def locate(self, at: Address, message_id: str) -> int | None:
        """See ``MessageStore.locate``."""
        return reading.locate(self.alias, at, message_id)

    def clear(self, at: Address) -> Change | None:
        """See ``MessageStore.clear``."""
        return sessions.clear(self.alias, at)

    def get(self, at: Address) -> SessionRecord | None:
        """See ``SessionStore.get``."""
        return sessions.get(self.alias, at)

    def find(
        self, workspace: str, wanted: Filter = EVERY, *, before: Cursor | None = None, size: int = 50
    ) -> list[SessionRecord]:
        """See ``SessionStore.find``."""
        return listing.find(self.alias, workspace, wanted, before, size)

    def count(self, workspace: str, wanted: Filter = EVERY) -> int:
        """See ``SessionStore.count``."""
        return listing.count(self.alias, workspace, wanted)

    def usage(self, workspace: str, wanted: Filter = EVERY) -> Usage:
        """See ``Adapter.usage``."""
        return listing.usage(self.alias, workspace, wanted)

    def open(self, at: Address, fields: Mapping[str, Any] = NOTHING) -> tuple[SessionRecord, bool]:
        """See ``SessionStore.open``."""
        return sessions.open_session(self.alias, at, fields)

    def update(self, at: Address, fields: Mapping[str, Any]) -> SessionRecord:
        """See ``SessionStore.update``."""
        return sessions.update(self.alias, at, fields)

    def delete(self, at: Address) -> bool:
        """See ``SessionStore.delete``."""
        return sessions.delete(self.alias, at)

    def branches(self, at: Address) -> list[Branch]:
        """See ``BranchStore.branches``."""
        return branching.branches(self.alias, at)

    def fork(self, at: Address, name: str, seq: int | None = None, *, switch: bool = False) -> tuple[Branch, Header]:
        """See ``BranchStore.fork``."""
        return branching.fork(self.alias, at, name, seq, switch=switch)

    def switch(self, at: Address, name: str) -> Header | None:
        """See ``BranchStore.switch``."""
        return branching.switch(self.alias, at, name)

    def edit(self, at: Address, message: Message) -> Commit:
        """See ``BranchStore.edit``."""
        return branching.edit(self.alias, at, message)

    def revisions(self, at: Address, seq: int) -> list[Revision]:
        """See ``BranchStore.revisions``."""
        return branching.revisions(self.alias, at, seq)

    def summaries(self, at: Address) -> list[Summary]:
        """See ``SummaryStore.summaries``."""
        return summarizing.summaries(self.alias, at)

    def claim_summary(self, at: Address, keep: int) -> Claim | None:
        """See ``SummaryStore.claim_summary``."""
        return summarizing.claim_summary(self.alias, at, keep)

    def keep_summary(self, at: Address, claim: Claim, summary: Summary) -> bool:
        """See ``SummaryStore.keep_summary``."""
        return summarizing.keep_summary(self.alias, at, claim, summary)

    def release_summary(self, at: Address, claim: Claim) -> None:
        """See ``SummaryStore.release_summary``."""
        summarizing.release_summary(self.alias, at, claim)


def _sort_key(at: Address) -> tuple[str, str, str]:
    return at.workspace, at.key, at.branch
