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
   entry. An absent key accepts no push, so that a part is never taken for the whole.
5. Pushes follow the commit. A push that is lost leaves an entry that rule 1 refuses and rule 2 lets die. bounded:
   what a caller's transaction changed is dropped, since between two pushes half of it would show.
6. What cannot be read back as written is a miss, and a newer release's entries are left alone.

Rules 2 to 4 are each enforced inside one script on the server, so that no interleaving can break them.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple, TypeVar
from uuid import UUID

import msgspec

from chat_memory import metrics
from chat_memory.cache.client import LAYOUT, LEASE_MS, CacheClient, Unavailable
from chat_memory.cache.lives import Lives
from chat_memory.records import Change, Header, Message
from chat_memory.storage.mapping import to_json

Result = TypeVar("Result")

JITTER = 0.1
FOR_EVER = "none"
MAGIC = b"cm1"
HEAVIEST = 1024 * 1024
"""Bytes of messages in one entry: what is more takes Redis too long to hand over."""
LONGEST_HEADER = 512
"""Bytes."""


class Policy(msgspec.Struct, frozen=True):
    """How the cache is used: the settings CACHE, CACHE_TAIL, CACHE_TTL and CACHE_MAX_AGE (both in seconds)."""

    mode: Literal["strict", "bounded"]
    tail: int
    ttl: float | None
    max_age: float

    @property
    def format(self) -> str:
        """What must be equal for two processes to read each other's entries: layout, mode and what it promises."""
        return f"{LAYOUT:02}s" if self.mode == "strict" else f"{LAYOUT:02}b{self.max_age:g}"


class Entry(NamedTuple):
    """What a key holds: the newest messages as JSON, the header they were read at (None: there is no session)."""

    header: Header | None
    whole: bool
    messages: Sequence[bytes]

    @property
    def version(self) -> int:
        """The version of the session; 0 where there is none."""
        return 0 if self.header is None else self.header.version

    @property
    def last_seq(self) -> int:
        """The position of the newest message; 0 where there is no session."""
        return 0 if self.header is None else self.header.last_seq

    def is_at(self, header: Header) -> bool:
        """Rule 1."""
        return self.header == header

    def is_ahead_of(self, header: Header) -> bool:
        """Whether the row is older than the entry: read too early, or the database went back."""
        return self.is_of(header.session_id) and self.version > header.version

    def is_of(self, session_id: UUID | None) -> bool:
        """Whether it is of that session, and not of another one of the same name, or of none."""
        return self.header is not None and self.header.session_id == session_id

    @property
    def visible(self) -> int:
        """How many messages the session shows: positions have no holes."""
        return 0 if self.header is None else self.header.visible

    @property
    def weight(self) -> int:
        """Bytes of the messages that came."""
        return sum(map(len, self.messages))

    @property
    def is_as_long_as_may_be(self) -> bool:
        """Whether it holds no more since its messages are heavy: who wants more is not to make it again."""
        return not self.whole and self.weight > HEAVIEST // 2

    @property
    def is_everything(self) -> bool:
        """Whether all messages came, of an entry that may hold more than this process' CACHE_TAIL."""
        return self.whole and len(self.messages) == self.visible

    def is_complete(self, newest: int) -> bool:
        """Whether it gave what it claims to hold, of ``newest`` asked for."""
        return not self.whole or len(self.messages) == min(newest, self.visible)


class Coherence:
    """The protocol over one Redis; a failure of Redis is an answer, never an exception."""

    def __init__(self, client: CacheClient, policy: Policy) -> None:
        self.client = client
        self.policy = policy
        self._format = policy.format
        self._lives = Lives()

    def expects(self, key: str) -> bool:
        """bounded: whether this process knows of an entry, so that ``look`` should do and ``take`` would cost more."""
        return self._lives.expects(key)

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
        result, found = self.client.newest_while(key, newest + 1, call)
        return result, self._valid(key, found, newest)

    def held(self, key: str) -> Entry | None:
        """The entry of a key with all its messages, left as it is; None where there is none of ours.

        Raises:
            Unavailable: Redis cannot say.
            ValueError: it looked like one.
        """
        found = self.client.newest(key, 0)
        return self._entry(key, found) if found else None

    def _valid(self, key: str, found: list[bytes], newest: int) -> Entry | None:
        """The entry whose elements were found; what looks like one and is none is forgotten."""
        if not found:
            return None
        try:
            entry = self._entry(key, found)
        except ValueError:
            pass
        else:
            if entry is None or entry.is_complete(newest):
                if entry is not None and entry.weight > HEAVIEST:
                    self.drop(key)
                return entry
        self.damaged(key)
        return None

    def _entry(self, key: str, found: Sequence[bytes]) -> Entry | None:
        """The entry whose elements these are, the header last; None where it is no valid one of ours.

        Raises:
            ValueError: it looked like one, or it is that of another key: the answer to another question.
        """
        header, format_, whole, owner = _header(found[-1])
        if format_ != self._format:
            return None
        if owner != key:
            raise ValueError(owner)
        return Entry(header, whole, found[:-1])

    def take(self, key: str, least: int, newest: int) -> tuple[Entry | None, str]:
        """bounded: the entry as ``look`` gives it, if its version is ``least`` or more; else the right to fill.

        The right is "" where there is an entry, or somebody else has it.

        Raises:
            Unavailable: Redis cannot say.
        """
        lease = secrets.token_hex(8)
        answer = self.client.run("lease", key, (self._format, lease, least, newest + 1))
        if isinstance(answer, bytes):
            self._lives.ended(key)
            return None, lease if answer == b"lease" else ""
        match answer:
            case [int(life), list(found)]:
                self._lives.lasts(key, life / 1000)
                return self._valid(key, found, newest), ""
        raise Unavailable("another answer")

    def fill(
        self,
        key: str,
        header: Header | None,
        messages: Sequence[Message],
        *,
        whole: bool,
        ttl: float | None,
        lease: str = "",
        insist: bool = False,
    ) -> None:
        """Store what the database said; ``header`` None: there is no such session. ``ttl`` in seconds: strict's."""
        kept = _light(messages[-self.policy.tail :])
        token, session, version = ("", "", 0) if header is None else (*_identity(header), header.version)
        state = (version, token, session, _ident(header, key))
        whole = whole and len(kept) == len(messages)
        how = (int(whole), self._fill_ttl(ttl), int(insist))
        outcome = self._run("fill", key, (self._format, lease, *state, *how, *kept))
        metrics.add("fills" if outcome == b"filled" else "refused_fills")
        if lease and outcome == b"filled":  # its life began with the lease
            self._lives.lasts(key, self.policy.max_age - LEASE_MS / 1000)

    def push(self, key: str, change: Change, added: Sequence[Message], ttl: float | None) -> None:
        """Add what a committed append stored; ``ttl`` as for ``fill``."""
        header = change.header
        token, session = _identity(header)
        cap = self.policy.tail
        before = (session, change.prev_version, change.prev_vtoken or 0)
        after = (header.version, token, _ident(header, key))
        how = (cap, self._push_ttl(ttl), int(len(added) > cap))
        entries = _light(added[-cap:])
        if len(entries) < min(len(added), cap):  # what is left out would be a gap
            self.drop(key)
            return
        outcome = self._run("push", key, (self._format, *before, *after, *how, *entries))
        metrics.add("lost_pushes" if outcome is None else "pushes")
        if outcome in (b"absent", b"dropped"):
            self._lives.ended(key)

    def damaged(self, key: str) -> None:
        """Forget an entry that claims to be valid and cannot be read back (rule 6)."""
        self.client.complain("damaged entry")
        self.drop(key)

    def drop(self, key: str) -> None:
        """Forget a session, after a change that adds no messages at its end."""
        self._lives.ended(key)
        try:
            self.client.drop(key)
        except Unavailable:
            metrics.add("lost_pushes")

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


def _header(last: bytes) -> tuple[Header | None, str, bool, str]:
    """What the last element says: the state, the format, "" for no valid entry, whether all follow, and of which key.

    Raises:
        ValueError: it looked like a header.
    """
    return _parsed(last) if type(last) is bytes and len(last) <= LONGEST_HEADER else _NO_HEADER


@lru_cache(maxsize=4096)
def _parsed(last: bytes) -> tuple[Header | None, str, bool, str]:
    """Remembered, since a session in use is read many times in one state."""
    fields = last.split(b";")
    if len(fields) != 11 or fields[0] != MAGIC or fields[1] != b"V":
        return _NO_HEADER
    _magic, _state, format_, version, token, session, ident, whole, *_ = fields
    workspace_id, base_seq, last_seq, owner = ident.split(b",")
    header = None
    if session:
        numbers = map(int, (workspace_id, version, token, base_seq, last_seq))
        header = Header(UUID(session.decode()), *numbers)
    return header, format_.decode(), whole == b"1", owner.decode()


def _light(messages: Sequence[Message]) -> list[bytes]:
    """The newest messages as they are cached, as many as are light enough together."""
    entries, weight = [], 0
    for message in reversed(messages):
        entry = to_json(message)
        weight += len(entry)
        if weight > HEAVIEST:
            break
        entries.append(entry)
    return entries[::-1]


def _jittered(ttl: float) -> int:
    """Seconds as milliseconds, a little fewer, so that the entries of one minute do not die as one."""
    return max(1, int(ttl * 1000 * random.uniform(1 - JITTER, 1)))  # noqa: S311


def _identity(header: Header) -> tuple[str, str]:
    return str(header.vtoken), header.session_id.hex


def _ident(header: Header | None, key: str) -> str:
    """What only clients read back."""
    return f",,,{key}" if header is None else f"{header.workspace_id},{header.base_seq},{header.last_seq},{key}"


_NO_HEADER: tuple[None, str, bool, str] = (None, "", False, "")
