"""Owns the rules that keep cached answers correct; it must not know the database.

One Redis key holds an entry: the newest messages of one session, and a header with the version and the random token
that the session row had when the messages were read. To fill is to write an entry from the database; to push is to add
the messages of a committed append to an entry. The rules:

1. strict: an entry is used only if its header equals the row that this reader has read, so no answer is stale. The
   order of the two reads does not matter; the command to Redis is sent before the row is read and its reply is read
   after it, so that both servers work at the same time.
2. bounded: an entry is used until it expires, ``max_age`` seconds (on Redis' clock) after the lease for filling it was
   given, which is before the database was read. Appends do not extend that time.
3. bounded: only the holder of the lease may fill, before the lease expires, in one step, and not with a version below
   the largest one that a writer has pushed meanwhile. strict: no lease is needed, since rule 1 makes any fill safe.
4. A push adds to an entry only if the entry is exactly its predecessor (same session, version, token and format);
   otherwise it deletes the entry. A push never creates an entry, since the entry would hold a part of the history and
   look complete. If a push makes an entry larger than HEAVIEST, the oldest messages are removed and the header says so.
5. The cache learns of every write from the change event (``storage.changed``), after the commit. An append is pushed to
   the entry under the branch name that the writer used. Any other change deletes the entries under the branch's name,
   of the current branch, and of ``main``. If a push or a deletion is lost, rule 1 rejects the old entry and rule 2
   lets it expire. bounded: appends made inside a caller's transaction delete the entries too, since a reader between
   two pushes would see half of the transaction.
6. An entry that cannot be read back is a miss. Entries of a newer release are not changed.
7. A read for a user only returns messages of a session that is the user's or has no owner. strict: the row is read
   under this condition. bounded: an entry is only used if the database has confirmed within the last ``max_age``
   seconds that its session is the user's (``cache.owners``); for a session without an owner every read asks the
   database. A read for a user that finds no session does not fill an entry: other readers may see a session there,
   which would yield its key to this user.

Rules 2 to 4 are each enforced inside one Lua script on the server, so no interleaving can break them.
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
"""The largest share by which the life of an entry is shortened at random."""
FOR_EVER = "none"
"""The argument of ``push.lua`` that makes an entry never expire."""
DROPPED = 1_000
"""The maximum number of keys that one command deletes, so that its reply comes in time."""


class Lease(NamedTuple):
    """The right of one reader to fill a key."""

    token: str


class Coherence:
    """The rules above, for one Redis and one policy. Writes never raise; reads raise Unavailable if Redis fails."""

    def __init__(self, client: CacheClient, policy: CachePolicy) -> None:
        self.client = client
        self.policy = policy
        self._format = policy.format
        self._expiry = Expiry()

    def expects(self, key: str) -> bool:
        """bounded: whether this process expects an entry there; then ``look``, which costs less, is tried first."""
        return self._expiry.expects(key)

    def look(self, key: str, newest: int) -> Entry | None:
        """The valid entry under a key, with at most its ``newest`` newest messages; None where there is none.

        Raises:
            Unavailable: Redis cannot be asked.
        """
        return self._valid(key, self.client.newest(key, newest + 1), newest)

    def look_while(self, key: str, newest: int, call: Callable[[], Result]) -> tuple[Result, Entry | None]:
        """The result of ``call``, and of ``look``, which runs on Redis during the call.

        Raises:
            Unavailable: as for ``look``; if the command cannot be sent, ``call`` is not called.
        """
        result, elements = self.client.newest_while(key, newest + 1, call)
        return result, self._valid(key, elements, newest)

    def held(self, key: str) -> Entry | None:
        """The entry under a key with all its messages; None where there is no valid entry of this format.

        Unlike ``look``, it leaves a damaged entry in place.

        Raises:
            Unavailable: Redis cannot be asked.
            ValueError: the entry is damaged.
        """
        elements = self.client.newest(key, 0)
        return self._entry(key, elements) if elements else None

    def take(self, key: str, least: int, newest: int) -> Entry | Lease | None:
        """bounded: the entry, as ``look`` returns it, if its version is at least ``least``; otherwise a lease to fill.

        None where another reader has the lease, or where the entry is damaged or of a newer release.

        Raises:
            Unavailable: Redis cannot be asked.
        """
        lease = Lease(secrets.token_hex(8))
        answer = self.client.run("lease", key, (self._format, lease.token, least, newest + 1))
        if isinstance(answer, bytes):
            self._expiry.forget(key)
            return lease if answer == b"lease" else None
        match answer:
            case [int(life), list(elements)]:
                self._expiry.remember(key, life / 1000)
                return self._valid(key, elements, newest)
        raise Unavailable("unexpected reply")

    def fill(
        self,
        key: str,
        header: Header | None,
        messages: Sequence[Message],
        *,
        whole: bool,
        is_cut: bool = False,
        ttl: float | None,
        lease: Lease | None = None,
        insist: bool = False,
    ) -> None:
        """Write an entry with what was read from the database; if the rules forbid it or Redis fails, do nothing.

        Args:
            key: the Redis key of the session.
            header: the state of the session row; None: there is no such session.
            messages: its newest messages, oldest first.
            whole: whether these are all visible messages of the session.
            is_cut: whether older ones were not read because these have as many bytes as an entry may have.
            ttl: strict: seconds until the entry expires; None: never.
            lease: bounded: the lease that permits the fill.
            insist: strict: overwrite an entry of a newer version too; the database was set back to an older state.
        """
        kept = light_enough(messages[-self.policy.tail :])
        token, session = state_of(header)
        state = (0 if header is None else header.version, token, session, ident_of(header, key))
        given = len(messages) + is_cut
        how = (_extent(given, len(kept), self.policy.tail, whole=whole), self._fill_ttl(ttl), int(insist))
        outcome = self._run("fill", key, (self._format, lease.token if lease else "", *state, *how, *kept))
        metrics.add("fills" if outcome == b"filled" else "refused_fills")
        if lease and outcome == b"filled":  # the entry's life began with the lease, at most LEASE_MS ago
            self._expiry.remember(key, self.policy.max_age - lua.LEASE_MS / 1000)

    def push(self, key: str, change: Change, added: Sequence[Message], ttl: float | None) -> None:
        """Add the ``added`` messages of a committed append to the entry; ``ttl`` is as for ``fill``."""
        header, cap = change.header, self.policy.tail
        kept = light_enough(added[-cap:])
        if len(kept) < min(len(added), cap):  # too large: messages left out would be a gap after those in the entry
            self.drop(key)
            return
        token, session = state_of(header)
        before = (session, change.prev_version, change.prev_vtoken or 0)
        after = (header.version, token, ident_of(header, key))
        how = (cap, self._push_ttl(ttl), int(len(added) > cap))
        outcome = self._run("push", key, (self._format, *before, *after, *how, *kept))
        metrics.add("lost_pushes" if outcome is None else "pushes")
        if outcome in (b"absent", b"dropped"):
            self._expiry.forget(key)

    def drop(self, *keys: str) -> Sequence[str]:
        """Delete the entries under these keys; return the keys whose entries may be left because Redis failed."""
        for key in keys:
            self._expiry.forget(key)
        for first in range(0, len(keys), DROPPED):
            try:
                self.client.drop(*keys[first : first + DROPPED])
            except Unavailable:
                metrics.add("lost_pushes")
                return keys[first:]
        return ()

    def drop_damaged(self, key: str) -> None:
        """Log and delete an entry that is marked as valid but cannot be read back (rule 6)."""
        self.client.log_trouble("damaged entry")
        self.drop(key)

    def _valid(self, key: str, elements: list[bytes], newest: int) -> Entry | None:
        """The entry that a list's elements hold, as ``_entry``; a damaged one is deleted, and None is returned."""
        if not elements:
            return None
        try:
            entry = self._entry(key, elements)
        except ValueError:
            pass
        else:
            if entry is None or entry.is_complete(newest):
                return entry
        self.drop_damaged(key)
        return None

    def _entry(self, key: str, elements: Sequence[bytes]) -> Entry | None:
        """The entry that a list's elements hold, the header last; None where it is not valid or of another format.

        Raises:
            ValueError: the header is damaged, or names another key, so Redis' reply belongs to another command.
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
        """Milliseconds until a filled entry expires; "": it never expires."""
        if self.policy.mode == "bounded":
            return int(self.policy.max_age * 1000)
        return "" if ttl is None else _jittered(ttl)

    def _push_ttl(self, ttl: float | None) -> int | str:
        """Milliseconds until an entry expires after a push; FOR_EVER: never; "": unchanged.

        strict: a push restarts the time. bounded: the time stays as the fill set it (rule 2).
        """
        if self.policy.mode == "bounded":
            return ""
        return FOR_EVER if ttl is None else _jittered(ttl)


def _extent(given: int, kept: int, tail: int, *, whole: bool) -> str:
    """The extent of an entry with ``kept`` messages, where ``given`` were read and at most ``tail`` may be cached."""
    if kept < min(given, tail):
        return Extent.CUT.value
    return Extent.ALL.value if whole and kept == given else Extent.NEWEST.value


def _jittered(ttl: float) -> int:
    """Seconds as milliseconds, shortened by up to JITTER, so that entries filled together do not expire together."""
    return max(1, int(ttl * 1000 * random.uniform(1 - JITTER, 1)))  # noqa: S311
