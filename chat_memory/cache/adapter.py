"""Owns the adapter that reads through the cache and writes past it; it must not know which adapter it wraps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import msgspec

from chat_memory import metrics
from chat_memory.cache.audit import fault
from chat_memory.cache.client import Unavailable
from chat_memory.cache.codec import Damaged, decode, joined
from chat_memory.cache.coherence import Coherence, Entry
from chat_memory.cache.keys import session_key
from chat_memory.cache.passing import PassingAdapter
from chat_memory.choices import CURRENT
from chat_memory.records import (
    Address,
    Branch,
    Budget,
    Change,
    Commit,
    Header,
    Json,
    Message,
    SessionRecord,
    Slice,
    Span,
)
from chat_memory.storage.base import EVERYTHING, NOTHING, Adapter, Batch
from chat_memory.storage.mapping import to_json
from chat_memory.storage.windowing import newest_turns

Answer = TypeVar("Answer", Slice, Json)

LOOKS = 3
"""How often a reader looks at the row again because the cache is ahead of it; the last time it insists."""


class CachedAdapter(PassingAdapter):
    """An adapter whose reads are answered by Redis where that cannot be wrong."""

    def __init__(self, inner: Adapter, coherence: Coherence, deployment: bytes) -> None:
        super().__init__(inner)
        self._coherence = coherence
        self._deployment = deployment
        self._tail = coherence.policy.tail

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
        if span.system:
            return self._inner.read(at, span)
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

    def window(self, at: Address, budget: Budget) -> Slice:
        """See ``MessageStore.window``; bounded: from what the cache holds, where that is enough to know."""
        if self._coherence.policy.mode == "bounded":
            found = self.read(at, Span(last=self._tail, min_version=budget.min_version))
            whole = found.header is None or found.header.visible <= len(found.messages)
            if whole or not budget.system:
                taken = newest_turns(found.messages, budget, whole=whole)
                if taken is not None:
                    return Slice(taken, found.header)
        return self._inner.window(at, budget)

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

    def clear(self, at: Address) -> Change | None:
        """See ``MessageStore.clear``."""
        change = self._inner.clear(at)
        self._drop_after_commit(at)
        return change

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

    def fork(self, at: Address, name: str, seq: int | None = None, *, switch: bool = False) -> tuple[Branch, Header]:
        """See ``BranchStore.fork``."""
        forked = self._inner.fork(at, name, seq, switch=switch)
        self._drop_after_commit(at)
        return forked

    def switch(self, at: Address, name: str) -> Header | None:
        """See ``BranchStore.switch``."""
        header = self._inner.switch(at, name)
        self._drop_after_commit(at)
        return header

    def edit(self, at: Address, message: Message) -> Commit:
        """See ``BranchStore.edit``."""
        commit = self._inner.edit(at, message)
        self._drop_after_commit(at)
        return commit

    def audit(self, at: Address) -> str | None:
        """What is wrong with what Redis holds for a session, "" for nothing; None: nothing that a read would take.

        Raises:
            Unavailable: Redis does not answer.
        """
        key, client = self._key(at), self._coherence.client
        try:
            entry = self._coherence.held(key)
        except ValueError as error:
            return f"is damaged ({type(error).__name__})"
        except Unavailable as error:
            client.ping()  # else it is not this key that Redis cannot serve
            return f"cannot be read ({error})"
        if entry is None:
            return None
        life = client.life(key)
        found = self._inner.read(at, Span(last=max(1, len(entry.messages))))  # it may hold more than CACHE_TAIL is now
        return fault(entry, life, found, self._coherence.policy)

    def forget(self, at: Address) -> None:
        """Drop what Redis holds for a session, which is always safe.

        Raises:
            Unavailable: Redis does not answer.
        """
        self._coherence.client.drop(self._key(at))

    def _look(self, at: Address, span: Span) -> tuple[Entry | None, Slice | None]:
        """An entry that answers the span, or what the database said, or neither: then the database is to be asked."""
        if self._ttl(at) == 0 or not _may_answer(span, None, self._tail):
            metrics.add("bypasses")
            return None, None
        try:
            return (self._strict if self._coherence.policy.mode == "strict" else self._bounded)(at, span)
        except Unavailable:
            metrics.add("bypasses")
            return None, None

    def _strict(self, at: Address, span: Span) -> tuple[Entry | None, Slice | None]:
        """What equals the row as it is now (rule 1)."""
        entry: Entry | None = None
        for _ in range(LOOKS):
            header, entry = self._row_and_entry(at, span)
            if header is None:
                return None, Slice([], None)
            if not _may_answer(span, header, self._tail) or _is_too_heavy(span, header, entry):
                metrics.add("bypasses")
                return None, None
            if entry is not None and entry.is_at(header) and _answers(span, entry):
                return entry, None
            if not at.pinned:
                at = msgspec.structs.replace(at, session_id=header.session_id, workspace_id=header.workspace_id)
            if entry is None or not entry.is_ahead_of(header):
                entry = None
                break
        metrics.add("misses")
        if self._inner.in_transaction() or not _fills(span):
            return None, None
        return None, self._filled(at, span, insist=entry is not None)

    def _row_and_entry(self, at: Address, span: Span) -> tuple[Header | None, Entry | None]:
        """Both at once, unless it takes the row to know whether an entry may answer."""
        key, newest = self._key(at), _newest(span, self._tail)
        if _is_newest(span):
            return self._coherence.look_while(key, newest, partial(self._inner.peek, at))
        header = self._inner.peek(at)
        worth = header is not None and _may_answer(span, header, self._tail)
        return header, self._coherence.look(key, newest) if worth else None

    def _bounded(self, at: Address, span: Span) -> tuple[Entry | None, Slice | None]:
        """The entry first, if it is young enough to live (rule 2); inside a transaction only the database will do."""
        if self._inner.in_transaction():
            metrics.add("bypasses")
            return None, None
        entry, lease = self._entry_or_lease(self._key(at), span)
        if entry is None:
            metrics.add("misses")
            return None, self._filled(at, span, lease=lease) if lease else None
        # A version counts the changes of one session: that of an earlier one of the same name may be larger.
        is_of_another = span.min_version > 0 and at.session_id is not None and not entry.is_of(at.session_id)
        if (at.pinned and not entry.is_of(at.session_id)) or not _answers(span, entry) or is_of_another:
            metrics.add("bypasses")
            return None, None
        return entry, None

    def _entry_or_lease(self, key: str, span: Span) -> tuple[Entry | None, str]:
        """An entry that is new enough, or the right to fill; in one command unless something took the entry early."""
        newest = _newest(span, self._tail)
        if not _fills(span) or self._coherence.expects(key):
            entry = self._coherence.look(key, newest)
            if entry is not None and entry.version >= span.min_version:
                return entry, ""
        return self._coherence.take(key, span.min_version, newest) if _fills(span) else (None, "")

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
        if at.branch != CURRENT:
            self._inner.after_commit(
                partial(self._coherence.drop, self._key(msgspec.structs.replace(at, branch=CURRENT)))
            )

    def _drop_after_commit(self, at: Address) -> None:
        """Forget the branch and what speaks for the conversation, which may be the same."""
        for branch in {at.branch, CURRENT}:
            key = self._key(msgspec.structs.replace(at, branch=branch))
            self._inner.after_commit(partial(self._coherence.drop, key))

    def _ttl(self, at: Address) -> float | None:
        """The handle's, else CACHE_TTL; 0: this conversation is not to be cached."""
        return self._coherence.policy.ttl if at.cache_ttl is msgspec.UNSET else at.cache_ttl

    def _key(self, at: Address) -> str:
        return session_key(self._deployment, self._inner.schema, at.workspace, at.key, at.branch)


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


def _is_too_heavy(span: Span, header: Header, entry: Entry | None) -> bool:
    """Whether the entry is right and ends too soon since its messages are heavy: then the next would be no longer."""
    return entry is not None and not _answers(span, entry) and entry.is_at(header) and entry.is_as_long_as_may_be
