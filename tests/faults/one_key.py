"""One key of a real Redis with everybody who may touch it, each step alone, so that any interleaving can be played."""

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.conf import settings
from redis import Redis

from chat_memory.cache.client import CacheClient
from chat_memory.cache.coherence import Coherence, Lease
from chat_memory.cache.entry import Entry
from chat_memory.cache.policy import CachePolicy
from chat_memory.records import Change, Header, Message
from tests.patience import LONG

KEY = "cm:{one-key}"
SESSION, OTHER_SESSION = UUID(int=1), UUID(int=2)
PATIENT = "tests.faults.one_key.patient_client"
STATE, FORMAT, EXTENT, EXPIRES, WEIGHT = 1, 2, 7, 10, 11
"""Where the header has its state, its format, how much is there, the end of the lease, and the bytes of it all."""


class Telling(CacheClient):
    """A client that remembers what the last script answered."""

    told = b""

    def run(self, name: str, key: str, args: Sequence[Any], *others: str, **how: Any) -> Any:
        self.told = super().run(name, key, args, *others, **how)
        return self.told


class OneKey:
    """Readers and writers of one session: each letter is a message, and a version is as large as the last position."""

    def __init__(self, redis: Redis, mode: Any = "strict", tail: int = 50, max_age: float = 60.0) -> None:
        self.redis = redis
        self.client = Telling(lambda: redis)
        self.cache = Coherence(self.client, CachePolicy(mode, tail, None, max_age))

    def look(self, newest: int = 50) -> Entry | None:
        """What a reader finds."""
        return self.cache.look(KEY, newest)

    def entry(self) -> Entry:
        """What a reader finds, where there is something."""
        entry = self.look()
        assert entry is not None
        return entry

    def texts(self) -> str:
        """The texts a reader finds, joined."""
        return "".join(map(text_of, self.entry().messages))

    def lease(self, least: int = 0) -> str:
        """A reader who missed asks for the right to fill; "" where there is none to have."""
        taken = self.cache.take(KEY, least, 50)
        return taken.token if isinstance(taken, Lease) else ""

    def fill(self, at: Header, texts: str, *, lease: str = "", insist: bool = False) -> str:
        """A reader stores what the database said."""
        right = Lease(lease) if lease else None
        self.cache.fill(KEY, at, one_letter_messages(at, texts), whole=True, ttl=None, lease=right, insist=insist)
        return self.client.told.decode()

    def push(self, at: Header, texts: str, before: Header | None = None) -> str:
        """A writer adds what took the session there from where it was before."""
        prev = before or header(at.version - len(texts), session=at.session_id)
        self.cache.push(KEY, Change(at, prev.version, prev.vtoken, len(texts)), one_letter_messages(at, texts), None)
        return self.client.told.decode()

    def drop(self) -> None:
        """A writer who changed something else forgets the session."""
        self.cache.drop(KEY)

    def warm(self, at: Header, texts: str) -> None:
        """From nothing to an entry."""
        self.redis.delete(KEY)
        lease = self.lease() if self.cache.policy.mode == "bounded" else ""
        assert self.fill(at, texts, lease=lease) == "filled"

    def is_there(self) -> bool:
        """Whether the key exists."""
        return bool(self.redis.exists(KEY))

    def life(self) -> int:
        """Milliseconds left to the key; -1: for ever."""
        left: int = self.redis.pttl(KEY)
        return left

    def raw_header(self) -> list[str]:
        """The fields of the header as they are stored."""
        raw: Any = self.redis.lindex(KEY, -1)
        fields: list[str] = raw.decode().split(";")
        return fields

    def rewrite(self, field: int, value: object) -> None:
        """Change one field of the stored header."""
        fields = self.raw_header()
        fields[field] = str(value)
        self.redis.lset(KEY, -1, ";".join(fields))

    def lapse(self) -> None:
        """The lease is over, its key still there."""
        self.rewrite(EXPIRES, 1)

    def pass_time(self, milliseconds: int) -> None:
        """As if so much time went by on the server: no test sleeps."""
        self.rewrite(EXPIRES, max(0, int(self.raw_header()[EXPIRES]) - milliseconds))
        if (left := self.life()) >= 0:
            self.redis.pexpire(KEY, left - milliseconds)


def patient_client() -> Redis:
    """A client for REDIS_CLIENT that waits longer than any slow machine takes, for that is no fault; not for ever."""
    client: Redis = Redis.from_url(settings.CACHES["default"]["LOCATION"], socket_timeout=LONG)
    return client


def header(version: int, token: int = 1, session: UUID = SESSION, cleared: int = 0) -> Header:
    """The row at a version; with another token it is that of another history."""
    return Header(session, 1, version, version * token, cleared, version)


def one_letter_messages(at: Header, texts: str) -> list[Message]:
    """One message for each letter, the last at the last position."""
    first = at.last_seq - len(texts) + 1
    return [Message.user(text, id=text, seq=seq) for seq, text in enumerate(texts, first)]


def text_of(raw: bytes) -> str:
    """The text of a stored message."""
    text: str = json.loads(raw)["content"]
    return text
