"""Owns the rules that keep the cache from being wrong; it must not know the database.

One key holds the newest messages of one session and a header: the version and random token of the session row they
were read at. The rules:

1. strict: an entry answers only if its header equals the row as this reader saw it. Nothing stale is possible, and it
   does not matter which of the two came first: Redis is asked first and heard last, so that both work meanwhile.
2. bounded: an entry answers only while it lives, and it dies ``max_age`` seconds, on Redis' clock, after the moment
   before the read that filled it; appends do not lengthen that.
3. bounded: only the holder of the lease fills, while the lease lasts, in one step, and never with less than the
   largest version a writer has announced meanwhile. strict: rule 1 makes any fill harmless, so none is needed.
4. A push adds to an entry only if that is exactly its predecessor (session, version, token, format); else it drops the
   entry. An absent key accepts no push, so that a part is never taken for the whole. A push that would make an entry
   heavier than HEAVIEST takes the oldest messages away, and the entry says so.
5. The cache hears of a write by the change event (``storage.changed``), after the commit and whoever wrote. An append
   is pushed to the name that the writer used; any other change drops the entries of the branch by its name, of the
   current branch, and of ``main``. A push or a drop that is lost leaves an entry that rule 1 refuses and rule 2 lets
   die. bounded: what a caller's transaction has appended is dropped as well, since between two pushes half of it would
   show.
6. What cannot be read back as written is a miss, and a newer release's entries are left alone.

Rules 2 to 4 are each enforced inside one script on the server, so that no interleaving can break them.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from chat_memory import metrics
from chat_memory.cache import lua
from chat_memory.cache.client import CacheClient, Unavailable
from chat_memory.cache.entry import Entry, Extent, header_fields, ident_of, light_enough, state_of
from chat_memory.cache.expiry import Expiry
from chat_memory.cache.policy import CachePolicy
from chat_memory.records import Change, Header, Message

Result = TypeVar("Result")

JITTER = 0.1
FOR_EVER = "none"
DROPPED = 1_000
"""At most this many keys are dropped by one command, so that its answer comes in time."""


class Lease(NamedTuple):
    """The right of one reader to fill a key."""

    token: str


class Coherence:
    """The protocol over one Redis; a failure of Redis is an answer, never an exception."""

    def __init__(self, client: CacheClient, policy: CachePolicy) -> None:
        self.client = client
        self.policy = policy
        self._format = policy.format
        self._expiry = Expiry()

    def expects(self, key: str) -> bool:
        """bounded: whether this process knows of an entry, so that ``look`` should do and ``take`` would cost more."""
        return self._expiry.expects(key)

    def look(self, key: str, newest: int) -> Entry | None:
        """The valid entry of a key with its ``newest`` messages; None where there is none.

        Raises:
            Unavailable: Redis cannot say.
        """
        return self._valid(key, self.client.newest(key, newest + 1), newest)

    def look_while(self, key: str, newest: int, call: Callable[[], Result]) -> tuple[Result, Entry | None]:
        """What a call returns, and beside it what ``look`` does: Redis answers meanwhile.

        Raises:
            Unavailable: as ``look``; where Redis cannot even be asked, before the call.
        """
        result, elements = self.client.newest_while(key, newest + 1, call)
        return result, self._valid(key, elements, newest)

    def held(self, key: str) -> Entry | None:
        """The entry of a key with all its messages, left as it is; None where there is none of ours.

        Raises:
            Unavailable: Redis cannot say.
            ValueError: it looked like one.
        """
        elements = self.client.newest(key, 0)
        return self._entry(key, elements) if elements else None

    def take(self, key: str, least: int, newest: int) -> Entry | Lease | None:
        """bounded: the entry as ``look`` gives it, if its version is ``least`` or more; else the right to fill.

        None where another reader has that right, or the entry is damaged.

        Raises:
            Unavailable: Redis cannot say.
        """
        lease = Lease(secrets.token_hex(8))
        answer = self.client.run("lease", key, (self._format, lease.token, least, newest + 1))
        if isinstance(answer, bytes):
            self._expiry.ended(key)
            return lease if answer == b"lease" else None
        match answer:
            case [int(life), list(elements)]:
                self._expiry.lasts(key, life / 1000)
                return self._valid(key, elements, newest)
        raise Unavailable("another answer")

    def fill(
        self,
        key: str,
        header: Header | None,
        messages: Sequence[Message],
        *,
        whole: bool,
        ttl: float | None,
        lease: Lease | None = None,
        insist: bool = False,
    ) -> None:
        """Store what the database said.

        Args:
            key: of the session.
            header: the row; None: there is no such session.
            messages: the newest.
            whole: whether they are all there are.
            ttl: strict's life of the entry in seconds; None: until evicted.
            lease: bounded's right to fill.
            insist: put it in the place of an entry of a newer version, since the database went back.
        """
        kept = light_enough(messages[-self.policy.tail :])
        token, session = state_of(header)
        state = (0 if header is None else header.version, token, session, ident_of(header, key))
        how = (_extent(len(messages), len(kept), self.policy.tail, whole=whole), self._fill_ttl(ttl), int(insist))
        outcome = self._run("fill", key, (self._format, lease.token if lease else "", *state, *how, *kept))
        metrics.add("fills" if outcome == b"filled" else "refused_fills")
        if lease and outcome == b"filled":  # its life began with the lease
            self._expiry.lasts(key, self.policy.max_age - lua.LEASE_MS / 1000)

    def push(self, key: str, change: Change, added: Sequence[Message], ttl: float | None) -> None:
        """Add what a committed append stored; ``ttl`` as for ``fill``."""
        header, cap = change.header, self.policy.tail
        kept = light_enough(added[-cap:])
        if len(kept) < min(len(added), cap):  # what is left out would be a gap
            self.drop(key)
            return
        token, session = state_of(header)
        before = (session, change.prev_version, change.prev_vtoken or 0)
        after = (header.version, token, ident_of(header, key))
        how = (cap, self._push_ttl(ttl), int(len(added) > cap))
        outcome = self._run("push", key, (self._format, *before, *after, *how, *kept))
        metrics.add("lost_pushes" if outcome is None else "pushes")
        if outcome in (b"absent", b"dropped"):
            self._expiry.ended(key)

    def drop(self, *keys: str) -> Sequence[str]:
        """Forget entries of sessions, after changes that add no messages at their ends; the keys that may be left."""
        for key in keys:
            self._expiry.ended(key)
        for first in range(0, len(keys), DROPPED):
            try:
                self.client.drop(*keys[first : first + DROPPED])
            except Unavailable:
                metrics.add("lost_pushes")
                return keys[first:]
        return ()

    def damaged(self, key: str) -> None:
        """Forget an entry that claims to be valid and cannot be read back (rule 6)."""
        self.client.complain("damaged entry")
        self.drop(key)

    def _valid(self, key: str, elements: list[bytes], newest: int) -> Entry | None:
        """The entry of these elements; one that looks like an entry and is none is forgotten."""
        if not elements:
            return None
        try:
            entry = self._entry(key, elements)
        except ValueError:
            pass
        else:
            if entry is None or entry.is_complete(newest):
                return entry
        self.damaged(key)
        return None

    def _entry(self, key: str, elements: Sequence[bytes]) -> Entry | None:
        """The entry of these elements, the header last; None where it is no valid one of ours.

        Raises:
            ValueError: it looked like one, or it is that of another key: the answer to another question.
        """
        header, format_, extent, owner = header_fields(elements[-1])
        if format_ != self._format:
            return None
        if owner != key:
            raise ValueError(owner)
        return Entry(header, extent, elements[:-1])

    def _run(self, script: str, key: str, args: Sequence[Any]) -> Any:
        try:
            return self.client.run(script, key, args)
        except Unavailable:
            return None

    def _fill_ttl(self, ttl: float | None) -> int | str:
        """Milliseconds a filled entry lives; "": until it is evicted."""
        if self.policy.mode == "bounded":
            return int(self.policy.max_age * 1000)
        return "" if ttl is None else _jittered(ttl)

    def _push_ttl(self, ttl: float | None) -> int | str:
        """strict: an append gives what it completes a new life; bounded: nothing does (rule 2)."""
        if self.policy.mode == "bounded":
            return ""
        return FOR_EVER if ttl is None else _jittered(ttl)


def _extent(given: int, kept: int, tail: int, *, whole: bool) -> str:
    """How much of the history is in an entry that keeps so many of the messages given."""
    if kept < min(given, tail):
        return Extent.CUT.value
    return Extent.ALL.value if whole and kept == given else Extent.NEWEST.value


def _jittered(ttl: float) -> int:
    """Seconds as milliseconds, a little fewer, so that the entries of one minute do not die as one."""
    return max(1, int(ttl * 1000 * random.uniform(1 - JITTER, 1)))  # noqa: S311
