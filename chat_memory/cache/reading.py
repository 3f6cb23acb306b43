"""Owns reads that the cache answers where that cannot be wrong, one class for each mode; it writes no messages."""

from __future__ import annotations

from abc import abstractmethod
from contextlib import suppress
from functools import partial

import msgspec

from chat_memory import metrics
from chat_memory.cache.client import Unavailable
from chat_memory.cache.codec import Damaged, decode, joined
from chat_memory.cache.coherence import Coherence, Lease
from chat_memory.cache.entry import Entry
from chat_memory.cache.keys import SessionKeys
from chat_memory.cache.spans import answers, fills, is_in_vain, is_newest, may_answer, number_to_ask, selected
from chat_memory.records import Address, Budget, Header, Json, Slice, Span
from chat_memory.storage.contract import ALL_MESSAGES, Adapter
from chat_memory.storage.forwarding import ForwardingMessages
from chat_memory.storage.mapping import to_json
from chat_memory.storage.windowing import newest_turns

LOOKS = 3
"""How often a reader looks at the row again because the cache is ahead of it; the last time it insists."""


class CachedMessages(ForwardingMessages):
    """Messages whose reads ask the cache; what it cannot answer, and every write, is for the messages behind it."""

    def __init__(self, inner: Adapter, coherence: Coherence, keys: SessionKeys) -> None:
        super().__init__(inner.messages)
        self._in_transaction = inner.in_transaction
        self._coherence = coherence
        self._keys = keys
        self._tail = coherence.policy.tail

    def read(self, at: Address, span: Span = ALL_MESSAGES) -> Slice:
        """See ``MessageStore.read``; from the cache where that cannot be wrong."""
        if span.system:
            return self._inner.read(at, span)
        match self._asked(at, span):
            case Slice() as found:
                return found
            case Entry() as entry:
                try:
                    messages = selected(decode(entry.messages, entry.last_seq), span)
                except Damaged:
                    self._damaged(at)
                else:
                    metrics.add("hits")
                    return Slice(messages, entry.header)
        return self._inner.read(at, span)

    def read_json(self, at: Address, span: Span = ALL_MESSAGES) -> Json:
        """See ``MessageStore.read_json``; a hit on the newest messages is joined, never decoded."""
        match self._asked(at, span) if is_newest(span) else self.read(at, span):
            case Slice() as found:
                return Json(to_json(found.messages), len(found.messages), found.header)
            case Entry() as entry:
                try:
                    body = joined(entry.messages, entry.last_seq)
                except Damaged:
                    self._damaged(at)
                else:
                    metrics.add("hits")
                    return Json(body, len(entry.messages), entry.header)
        return self._inner.read_json(at, span)

    def _asked(self, at: Address, span: Span) -> Entry | Slice | None:
        """An entry that holds the span, or what the database said of it; None: the database is still to be asked."""
        if self._coherence.policy.ttl_for(at.cache_ttl) != 0 and may_answer(span, None, self._tail):
            with suppress(Unavailable):
                return self._find(at, span)
        metrics.add("bypasses")
        return None

    @abstractmethod
    def _find(self, at: Address, span: Span) -> Entry | Slice | None:
        """As ``_asked``, by the rules of the mode.

        Raises:
            Unavailable: Redis cannot say.
        """

    def _fill(self, at: Address, span: Span, *, lease: Lease | None = None, insist: bool = False) -> Slice:
        """What the database says, kept in the cache: the newest messages, from one statement."""
        wide = span if span.last is None else msgspec.structs.replace(span, last=max(span.last, self._tail))
        found = self._inner.read(at, wide)
        whole = wide.last is None or len(found.messages) < wide.last
        ttl = self._coherence.policy.ttl_for(at.cache_ttl)
        self._coherence.fill(
            self._key(at), found.header, found.messages, whole=whole, ttl=ttl, lease=lease, insist=insist
        )
        return Slice(selected(found.messages, span), found.header)

    def _damaged(self, at: Address) -> None:
        metrics.add("misses")
        self._coherence.damaged(self._key(at))

    def _key(self, at: Address) -> str:
        return self._keys.of(at.workspace, at.key, at.branch)


class Strict(CachedMessages):
    """Reads whose every answer equals the row as it is now (rule 1)."""

    def _find(self, at: Address, span: Span) -> Entry | Slice | None:
        entry: Entry | None = None
        for _ in range(LOOKS):
            header, entry = self._row_and_entry(at, span)
            if header is None:
                return Slice([], None)
            if not may_answer(span, header, self._tail) or is_in_vain(span, header, entry):
                metrics.add("bypasses")
                return None
            if entry is not None and entry.is_at(header) and answers(span, entry):
                return entry
            if not at.pinned:
                at = msgspec.structs.replace(at, session_id=header.session_id, workspace_id=header.workspace_id)
            if entry is None or not entry.is_ahead_of(header):
                entry = None
                break
            span = msgspec.structs.replace(span, seen=None)  # what the caller has seen is behind by now
        metrics.add("misses")
        if self._in_transaction() or not fills(span):
            return None
        return self._fill(at, span, insist=entry is not None)

    def _row_and_entry(self, at: Address, span: Span) -> tuple[Header | None, Entry | None]:
        """Both at once, unless it takes the row to know whether an entry may answer."""
        key, newest = self._key(at), number_to_ask(span, self._tail)
        if is_newest(span):
            return self._coherence.look_while(key, newest, partial(self._row, at, span))
        header = self._row(at, span)
        worth = header is not None and may_answer(span, header, self._tail)
        return header, self._coherence.look(key, newest) if worth else None

    def _row(self, at: Address, span: Span) -> Header | None:
        """The row as it is, or as the caller has just read it."""
        return span.seen or self._inner.peek(at)


class Bounded(CachedMessages):
    """Reads whose answers may be as old as an entry lives (rule 2)."""

    def window(self, at: Address, budget: Budget) -> Slice:
        """See ``MessageStore.window``; from what the cache holds, where that is enough to know."""
        found = self.read(at, Span(last=self._tail, min_version=budget.min_version))
        has_all = found.header is None or found.header.visible <= len(found.messages)
        if has_all or not budget.system:
            first = found.header.base_seq + 1 if found.header else None
            taken = newest_turns(found.messages, budget, has_all=has_all, first=first)
            if taken is not None:
                return Slice(taken, found.header)
        return self._inner.window(at, budget)

    def _find(self, at: Address, span: Span) -> Entry | Slice | None:
        if self._in_transaction():  # where only the database knows what the transaction itself has done
            metrics.add("bypasses")
            return None
        match self._entry_or_lease(self._key(at), span):
            case Entry() as entry if self._serves(entry, at, span):
                return entry
            case Entry():
                metrics.add("bypasses")
                return None
            case Lease() as lease:
                metrics.add("misses")
                return self._fill(at, span, lease=lease)
        metrics.add("misses")
        return None

    def _serves(self, entry: Entry, at: Address, span: Span) -> bool:
        """Whether the entry holds the span, of the session that is meant."""
        # A version counts the changes of one session: that of an earlier one of the same name may be larger.
        is_of_another = span.min_version > 0 and at.session_id is not None and not entry.is_of(at.session_id)
        return not ((at.pinned and not entry.is_of(at.session_id)) or not answers(span, entry) or is_of_another)

    def _entry_or_lease(self, key: str, span: Span) -> Entry | Lease | None:
        """An entry that is new enough, or the right to fill; in one command unless something took the entry early."""
        newest = number_to_ask(span, self._tail)
        if not fills(span) or self._coherence.expects(key):
            entry = self._coherence.look(key, newest)
            if entry is not None and entry.version >= span.min_version:
                return entry
        return self._coherence.take(key, span.min_version, newest) if fills(span) else None
