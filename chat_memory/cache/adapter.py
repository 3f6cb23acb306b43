"""Owns the adapter that reads through the cache and writes past it; it must not know which adapter it wraps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from chat_memory import metrics
from chat_memory.cache.audit import fault
from chat_memory.cache.client import Unavailable
from chat_memory.cache.codec import Damaged, decode, joined
from chat_memory.cache.coherence import Coherence, Entry
from chat_memory.cache.keys import session_key
from chat_memory.records import Address, Change, Commit, Header, Json, Message, SessionRecord, Slice, Span
from chat_memory.storage.base import EVERYTHING, NOTHING, Adapter, Batch
from chat_memory.storage.mapping import to_json

Answer = TypeVar("Answer", Slice, Json)

LOOKS = 3
"""How often a reader looks at the row again because the cache is ahead of it; the last time it insists."""


class CachedAdapter(Adapter):
    """An adapter whose reads are answered by Redis where that cannot be wrong."""

    def __init__(self, inner: Adapter, coherence: Coherence, deployment: bytes) -> None:
        self._inner = inner
        self._coherence = coherence
        self._deployment = deployment
        self._tail = coherence.policy.tail
        self.durable, self.transactional = inner.durable, inner.transactional
        self.branches, self.summaries = inner.branches, inner.summaries

    def append(self, at: Address, messages: Sequence[Message], *, if_version: int | None = None) -> Commit:
        """See ``MessageStore.append``; what was stored is pushed after the commit."""
        commit = self._inner.append(at, messages, if_version=if_version)
        self._push_after_commit(at, commit)
        return commit

    def append_many(self, batches: Sequence[Batch]) -> list[Commit]:
        """See ``MessageStore.append_many``."""
        commits = self._inner.append_many(batches)
        for (at, _messages), commit in zip(batches, commits, strict=True):
            self._push_after_commit(at, commit)
        return commits

    def read(self, at: Address, span: Span = EVERYTHING) -> Slice:
        """See ``MessageStore.read``; from the cache where that cannot be wrong."""
        entry, found = self._look(at, span)
        if found is not None:
            return found
        if entry is not None:
            try:
                messages = decode(entry.messages, entry.last_seq)
                return self._hit(Slice(select(messages, span), entry.header))
            except Damaged:
                self._damaged(at)
        return self._inner.read(at, span)

    def read_json(self, at: Address, span: Span = EVERYTHING) -> Json:
        """See ``MessageStore.read_json``; a hit on the newest messages is joined, never decoded."""
        entry, found = self._look(at, span) if _is_newest(span) else (None, self.read(at, span))
        if found is not None:
            return Json(to_json(found.messages), len(found.messages), found.header)
        if entry is not None:
            try:
                return self._hit(Json(joined(entry.messages, entry.last_seq), len(entry.messages), entry.header))
            except Damaged:
                self._damaged(at)
        return self._inner.read_json(at, span)

    def peek(self, at: Address) -> Header | None:
        """See ``MessageStore.peek``."""
        return self._inner.peek(at)

    def clear(self, at: Address) -> Change | None:
        """See ``MessageStore.clear``."""
        change = self._inner.clear(at)
        self._drop_after_commit(at)
        return change

    def get(self, at: Address) -> SessionRecord | None:
        """See ``SessionStore.get``."""
        return self._inner.get(at)

    def find(
        self, workspace: str, *, user_key: str | None = None, before: SessionRecord | None = None, size: int = 50
    ) -> list[SessionRecord]:
        """See ``SessionStore.find``."""
        return self._inner.find(workspace, user_key=user_key, before=before, size=size)

    def open(self, at: Address, fields: Mapping[str, Any] = NOTHING) -> tuple[SessionRecord, bool]:
        """See ``SessionStore.open``."""
        record, made = self._inner.open(at, fields)
        if made:
            self._drop_after_commit(at)
        return record, made

    def update(self, at: Address, fields: Mapping[str, Any]) -> SessionRecord:
        """See ``SessionStore.update``."""
        record = self._inner.update(at, fields)
        self._drop_after_commit(at)
        return record

    def delete(self, at: Address) -> bool:
        """See ``SessionStore.delete``."""
        deleted = self._inner.delete(at)
        self._drop_after_commit(at)
        return deleted

    @property
    def identity(self) -> str:
        """See ``Adapter.identity``."""
        return self._inner.identity

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

    def audit(self, at: Address) -> str | None:
        """What is wrong with what Redis holds for a session, "" for nothing; None: nothing that a read would take.

        Raises:
            Unavailable: Redis does not answer.
        """
        key, client = self._key(at), self._coherence.client
        try:
            entry = self._coherence.look(key, self._tail)
        except Unavailable as error:
            client.ping()  # else it is not this key that Redis cannot serve
            return f"cannot be read ({error})"
        if entry is None:
            return None
        life = client.life(key)
        return fault(entry, life, self._inner.read(at, Span(last=self._tail)), self._coherence.policy)

    def forget(self, at: Address) -> None:
        """Drop what Redis holds for a session, which is always safe.

        Raises:
            Unavailable: Redis does not answer.
        """
        self._coherence.client.drop(self._key(at))

    def _look(self, at: Address, span: Span) -> tuple[Entry | None, Slice | None]:
        """An entry that answers the span, or what the database said, or neither: then the database is to be asked."""
        if self._ttl(at) == 0:
            metrics.add("bypasses")
            return None, None
        try:
            return (self._strict if self._coherence.policy.mode == "strict" else self._bounded)(at, span)
        except Unavailable:
            metrics.add("bypasses")
            return None, None

    def _strict(self, at: Address, span: Span) -> tuple[Entry | None, Slice | None]:
        """The row first; then whatever equals it (rule 1)."""
        entry: Entry | None = None
        for _ in range(LOOKS):
            header = self._inner.peek(at)
            if header is None:
                return None, Slice([], None)
            at = msgspec.structs.replace(at, session_id=header.session_id, workspace_id=header.workspace_id)
            if not _may_answer(span, header, self._tail):
                metrics.add("bypasses")
                return None, None
            entry = self._coherence.look(self._key(at), _newest(span, self._tail))
            if entry is not None and entry.is_at(header) and _answers(span, entry):
                return entry, None
            if entry is None or not entry.is_ahead_of(header):
                entry = None
                break
        metrics.add("misses")
        if self._inner.in_transaction() or not _fills(span):
            return None, None
        return None, self._filled(at, span, insist=entry is not None)

    def _bounded(self, at: Address, span: Span) -> tuple[Entry | None, Slice | None]:
        """The entry first, if it is young enough to live (rule 2); inside a transaction only the database will do."""
        if self._inner.in_transaction() or not _may_answer(span, None, self._tail):
            metrics.add("bypasses")
            return None, None
        key = self._key(at)
        entry = self._coherence.look(key, _newest(span, self._tail))
        if entry is not None:
            if (at.pinned and not entry.is_of(at.session_id)) or not _answers(span, entry):
                metrics.add("bypasses")
                return None, None
            if entry.version >= span.min_version:
                return entry, None
        metrics.add("misses")
        lease = self._coherence.lease(key, span.min_version) if _fills(span) else ""
        return None, self._filled(at, span, lease=lease) if lease else None

    def _hit(self, answer: Answer) -> Answer:
        metrics.add("hits")
        return answer

    def _damaged(self, at: Address) -> None:
        metrics.add("misses")
        self._coherence.damaged(self._key(at))

    def _filled(self, at: Address, span: Span, *, lease: str = "", insist: bool = False) -> Slice:
        """What the database says, kept in the cache: the newest messages, from one statement."""
        wide = span if span.last is None else msgspec.structs.replace(span, last=max(span.last, self._tail))
        found = self._inner.read(at, wide)
        whole = wide.last is None or len(found.messages) < wide.last
        key, ttl = self._key(at), self._ttl(at)
        self._coherence.fill(key, found.header, found.messages, whole=whole, ttl=ttl, lease=lease, insist=insist)
        return Slice(select(found.messages, span), found.header)

    def _push_after_commit(self, at: Address, commit: Commit) -> None:
        change, ttl = commit.change, self._ttl(at)
        if change is None:
            return
        # bounded: between the pushes of a caller's transaction, readers would see a state that was never committed.
        if ttl == 0 or (self._coherence.policy.mode == "bounded" and self._inner.in_transaction()):
            self._drop_after_commit(at)
            return
        before = change.header.last_seq - change.added
        added = [message for message in commit.messages if _seq(message) > before]
        key = self._key(at)
        self._inner.after_commit(lambda: self._coherence.push(key, change, added, ttl))

    def _drop_after_commit(self, at: Address) -> None:
        key = self._key(at)
        self._inner.after_commit(lambda: self._coherence.drop(key))

    def _ttl(self, at: Address) -> float | None:
        """The handle's, else CACHE_TTL; 0: this conversation is not to be cached."""
        return self._coherence.policy.ttl if at.cache_ttl is msgspec.UNSET else at.cache_ttl

    def _key(self, at: Address) -> str:
        return session_key(self._deployment, at.workspace, at.key, at.branch)


def select(messages: list[Message], span: Span) -> list[Message]:
    """The messages of a span among some that hold it, oldest first."""
    if span.after is not None:
        messages = [message for message in messages if _seq(message) > span.after]
    if span.before is not None:
        messages = [message for message in messages if _seq(message) < span.before]
    if span.last is not None:
        return messages[max(0, len(messages) - span.last) :]
    return messages if span.first is None else messages[: span.first]


def _seq(message: Message) -> int:
    return message.seq or 0


def _is_newest(span: Span) -> bool:
    """Whether a span is the newest n and nothing else."""
    return span.last is not None and span.after is None and span.before is None


def _fills(span: Span) -> bool:
    """Whether the read of a span brings what an entry holds: the newest messages without a gap."""
    return span.after is None and span.before is None and span.first is None


def _newest(span: Span, tail: int) -> int:
    """How many of the newest messages to ask for: the newest before a position are not the newest of all."""
    return tail if span.last is None or span.before is not None else min(span.last, tail)


def _may_answer(span: Span, header: Header | None, tail: int) -> bool:
    """Whether it is worth asking: a longer read than the cache holds goes to the database."""
    if _is_newest(span):
        return (span.last or 0) <= tail
    if header is None:
        return True
    return header.last_seq - max(span.after or 0, header.base_seq) <= tail


def _answers(span: Span, entry: Entry) -> bool:
    """Whether the entry holds the whole span."""
    if entry.is_everything:
        return True
    if _is_newest(span):
        return len(entry.messages) >= (span.last or 0)
    return span.after is not None and entry.last_seq - len(entry.messages) <= span.after
