"""Owns reads that are answered from the cache where its rules allow it, one class per mode; it writes no messages."""

from __future__ import annotations

from abc import abstractmethod
from contextlib import suppress
from functools import partial

import msgspec

from chat_memory import metrics
from chat_memory.cache.client import Unavailable
from chat_memory.cache.codec import Damaged, decode, joined
from chat_memory.cache.coherence import Coherence, Lease
from chat_memory.cache.entry import HEAVIEST, Entry
from chat_memory.cache.keys import SessionKeys
from chat_memory.cache.owners import Owners
from chat_memory.cache.spans import answers, fills, is_newest, is_refill_useless, may_answer, number_to_ask, selected
from chat_memory.records import Address, Budget, Header, Json, Slice, Span
from chat_memory.storage.contract import ALL_MESSAGES, Adapter
from chat_memory.storage.forwarding import ForwardingMessages
from chat_memory.storage.mapping import fitting, page_json, within
from chat_memory.storage.windowing import is_within, newest_turns

ATTEMPTS = 3
"""strict: how often a reader reads row and entry while the entry is newer than the row.

After the last attempt the database is taken to be right, and the entry is overwritten."""


class CachedMessages(ForwardingMessages):
    """The messages of an adapter, read from the cache where possible; other reads and all writes are forwarded."""

    def __init__(self, inner: Adapter, coherence: Coherence, keys: SessionKeys) -> None:
        super().__init__(inner.messages)
        self._in_transaction = inner.in_transaction
        self._coherence = coherence
        self._keys = keys
        self._tail = coherence.policy.tail

    def read(self, at: Address, span: Span = ALL_MESSAGES) -> Slice:
        """See ``MessageStore.read``."""
        if span.system:
            return self._inner.read(at, span)
        match self._asked(at, span):
            case Slice() as found:
                return found
            case Entry() as entry:
                try:
                    messages = within(selected(decode(entry.messages, entry.last_seq), span), span)
                except Damaged:
                    self._damaged(at)
                else:
                    metrics.add("hits")
                    return Slice(messages, entry.header)
        return self._inner.read(at, span)

    def read_json(self, at: Address, span: Span = ALL_MESSAGES) -> Json:
        """See ``MessageStore.read_json``; for the newest messages, cached JSON is joined without decoding it."""
        match self._asked(at, span) if is_newest(span) else self.read(at, span):
            case Slice() as found:
                return Json(*page_json(found.messages, span), found.header)
            case Entry() as entry:
                try:
                    body, messages = joined(entry.messages, entry.last_seq), entry.messages
                    if span.most is not None and len(body) > span.most:
                        messages = fitting(messages, span.most, from_end=True)
                        body = joined(messages, entry.last_seq)
                except Damaged:
                    self._damaged(at)
                else:
                    metrics.add("hits")
                    return Json(body, len(messages), entry.header)
        return self._inner.read_json(at, span)

    def _asked(self, at: Address, span: Span) -> Entry | Slice | None:
        """An entry that holds the span, or the database's answer; None: the caller must still ask the database."""
        if self._coherence.policy.ttl_for(at.cache_ttl) != 0 and may_answer(span, None, self._tail):
            with suppress(Unavailable):
                return self._find(at, span)
        metrics.add("bypasses")
        return None

    @abstractmethod
    def _find(self, at: Address, span: Span) -> Entry | Slice | None:
        """As ``_asked``, by the rules of the mode.

        Raises:
            Unavailable: Redis cannot be asked.
        """

    def _fill(self, at: Address, span: Span, *, lease: Lease | None = None, insist: bool = False) -> Slice:
        """The span from the database; the newest CACHE_TAIL messages or more are read in one statement, and cached."""
        wide = span if span.last is None else msgspec.structs.replace(span, last=max(span.last, self._tail))
        if span.most is not None:  # an entry holds no more bytes, so reading more is useless
            wide = msgspec.structs.replace(wide, most=max(span.most, HEAVIEST))
        found = self._inner.read(at, wide)
        if found.header is None and at.is_checked:  # other readers may see a session that yields its key to this user
            return found
        is_cut = wide.most is not None and len(found.messages) < min(wide.last or 0, _visible(found))
        whole = wide.last is None or len(found.messages) < wide.last
        ttl = self._coherence.policy.ttl_for(at.cache_ttl)
        self._coherence.fill(
            self._key(at),
            found.header,
            found.messages,
            whole=whole and not is_cut,
            is_cut=is_cut,
            ttl=ttl,
            lease=lease,
            insist=insist,
        )
        return Slice(within(selected(found.messages, span), span), found.header)

    def _damaged(self, at: Address) -> None:
        metrics.add("misses")
        self._coherence.drop_damaged(self._key(at))

    def _key(self, at: Address) -> str:
        return self._keys.of(at.workspace, at.key, at.branch)


class Strict(CachedMessages):
    """Reads in strict mode: an entry is used only if it equals the session row (rule 1)."""

    def _find(self, at: Address, span: Span) -> Entry | Slice | None:
        entry: Entry | None = None
        for _ in range(ATTEMPTS):
            header, entry = self._row_and_entry(at, span)
            if header is None:
                return Slice([], None)
            if not may_answer(span, header, self._tail) or is_refill_useless(span, header, entry):
                metrics.add("bypasses")
                return None
            if entry is not None and entry.is_at(header) and answers(span, entry):
                return entry
            if not at.pinned:
                at = msgspec.structs.replace(at, session_id=header.session_id, workspace_id=header.workspace_id)
            if entry is None or not entry.is_ahead_of(header):
                entry = None
                break
            span = msgspec.structs.replace(span, seen=None)  # the row that the caller has read is out of date
        metrics.add("misses")
        if self._in_transaction() or not fills(span):
            return None
        return self._fill(at, span, insist=entry is not None)

    def _row_and_entry(self, at: Address, span: Span) -> tuple[Header | None, Entry | None]:
        """The row and the entry, read at the same time, unless the row decides whether the entry is worth reading."""
        key, newest = self._key(at), number_to_ask(span, self._tail)
        if is_newest(span):
            return self._coherence.look_while(key, newest, partial(self._row, at, span))
        header = self._row(at, span)
        worth = header is not None and may_answer(span, header, self._tail)
        return header, self._coherence.look(key, newest) if worth else None

    def _row(self, at: Address, span: Span) -> Header | None:
        """The state of the row: ``span.seen`` if the caller has just read the row, otherwise from the database."""
        return span.seen or self._inner.peek(at)


class Bounded(CachedMessages):
    """Reads in bounded mode: an entry is used until it expires, at most CACHE_MAX_AGE seconds (rule 2)."""

    def __init__(self, inner: Adapter, coherence: Coherence, keys: SessionKeys) -> None:
        super().__init__(inner, coherence, keys)
        self._owners = Owners(inner, coherence.policy.max_age)

    def window(self, at: Address, budget: Budget) -> Slice:
        """See ``MessageStore.window``; from the cached messages, if they are enough to compute it."""
        return self._taken(at, budget) or self._inner.window(at, budget)

    def window_within(self, at: Address, budget: Budget, *, size: int, most: int) -> tuple[Slice, bool]:
        """See ``MessageStore.window_within``; as ``window``."""
        taken = self._taken(at, budget, most)
        if taken is not None and is_within(taken.messages, size, most):
            return taken, False
        return self._inner.window_within(at, budget, size=size, most=most)

    def _taken(self, at: Address, budget: Budget, most: int | None = None) -> Slice | None:
        """The window, if the newest messages that are cached, or read to be cached, are enough to compute it."""
        found = self.read(at, Span(last=self._tail, most=most, min_version=budget.min_version))
        has_all = found.header is None or found.header.visible <= len(found.messages)
        if has_all or not budget.system:
            first = found.header.base_seq + 1 if found.header else None
            taken = newest_turns(found.messages, budget, has_all=has_all, first=first)
            if taken is not None:
                return Slice(taken, found.header)
        return None

    def _find(self, at: Address, span: Span) -> Entry | Slice | None:
        if self._in_transaction():  # only the database knows the transaction's own changes
            metrics.add("bypasses")
            return None
        match self._entry_or_lease(self._key(at), span):
            case Entry() as entry if self._serves(entry, at, span) and self._owners.let_see(at, entry):
                return entry
            case Entry():
                metrics.add("bypasses")
                return None
            case Lease() as lease:
                metrics.add("misses")
                return self._fill_by_names(at, span, lease)
        metrics.add("misses")
        return None

    def _fill_by_names(self, at: Address, span: Span, lease: Lease) -> Slice | None:
        """The span from the database, read and cached by the names in the key, whatever the handle's ids are.

        None: the handle's ids mean another session.
        """
        named = msgspec.structs.replace(at, session_id=None, workspace_id=None, pinned=False)
        found = self._fill(named, span, lease=lease)
        return found if _is_meant(at, found.header) else None

    def _serves(self, entry: Entry, at: Address, span: Span) -> bool:
        """Whether the entry holds the span and is of the session that the handle means."""
        # Versions of two sessions cannot be compared: a deleted session of the same name may have had a larger one.
        is_of_another = span.min_version > 0 and at.session_id is not None and not entry.is_of(at.session_id)
        return _is_meant(at, entry.header) and answers(span, entry) and not is_of_another

    def _entry_or_lease(self, key: str, span: Span) -> Entry | Lease | None:
        """An entry of at least ``span.min_version``, or a lease to fill; None: neither.

        It takes one command, or two if an expected entry is missing or too old.
        """
        newest = number_to_ask(span, self._tail)
        if not fills(span) or self._coherence.expects(key):
            entry = self._coherence.look(key, newest)
            if entry is not None and entry.version >= span.min_version:
                return entry
        return self._coherence.take(key, span.min_version, newest) if fills(span) else None


def _visible(found: Slice) -> int:
    return found.header.visible if found.header else 0


def _is_meant(at: Address, header: Header | None) -> bool:
    """Whether the session that an address' names lead to is the one that its ids mean, if it has ids.

    It is not if the handle's workspace has another slug by now, or if a pinned session was deleted.
    """
    if at.session_id is None:
        return True
    if header is None or header.workspace_id != at.workspace_id:
        return False
    return not at.pinned or header.session_id == at.session_id
