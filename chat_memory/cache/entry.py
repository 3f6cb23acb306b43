"""Owns the entry, which is what a key of the cache holds: its bytes, and what they say; it does no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

from chat_memory.records import Header, Message
from chat_memory.storage.mapping import to_json

LAYOUT = 3
"""Number of the layout of entries, raised with every change of it. An older release leaves newer entries alone."""
HEAVIEST = 1024 * 1024
"""Bytes of messages in one entry at most: Redis takes too long to hand over more."""
MAGIC = b"cm1"
VALID = b"V"
FIELDS = 12
"""How many fields a header has (``scripts/header.lua`` lists them); that of a newer layout may have more."""
LONGEST_HEADER = 512
"""Bytes; what is longer is no header."""


class Extent(StrEnum):
    """How much of the history an entry holds, as its header says it."""

    ALL = "1"
    NEWEST = "0"
    CUT = "cut"
    """The newest as far as they weigh at most HEAVIEST together: with one more they would be heavier."""


class Entry(NamedTuple):
    """The newest messages of a session as JSON, and the header they were read at (None: there is no session)."""

    header: Header | None
    extent: Extent
    messages: Sequence[bytes]

    @property
    def whole(self) -> bool:
        """Whether the key holds all messages of the session."""
        return self.extent is Extent.ALL

    @property
    def is_cut_by_size(self) -> bool:
        """Whether the entry was cut at HEAVIEST bytes; filling it again would not make it longer."""
        return self.extent is Extent.CUT

    @property
    def version(self) -> int:
        """The version of the session; 0 where there is none."""
        return 0 if self.header is None else self.header.version

    @property
    def last_seq(self) -> int:
        """The position of the newest message; 0 where there is no session."""
        return 0 if self.header is None else self.header.last_seq

    @property
    def visible(self) -> int:
        """How many messages the session shows: positions have no holes."""
        return 0 if self.header is None else self.header.visible

    @property
    def has_everything(self) -> bool:
        """Whether all messages were read, of an entry that may hold more than this process' CACHE_TAIL."""
        return self.whole and len(self.messages) == self.visible

    def is_at(self, header: Header) -> bool:
        """Rule 1."""
        return self.header == header

    def is_of(self, session_id: UUID | None) -> bool:
        """Whether it is of that session, and not of another one of the same name, or of none."""
        return self.header is not None and self.header.session_id == session_id

    def is_ahead_of(self, header: Header) -> bool:
        """Whether the row is older than the entry: it was read too early, or the database went back."""
        return self.is_of(header.session_id) and self.version > header.version

    def is_complete(self, newest: int) -> bool:
        """Whether what was read is what the header claims, where the ``newest`` messages were asked for."""
        return not self.whole or len(self.messages) == min(newest, self.visible)


class HeaderFields(NamedTuple):
    """What the last element of a key says: ``format`` is "" where it is no header of a valid entry."""

    header: Header | None = None
    format: str = ""
    extent: Extent = Extent.NEWEST
    owner: str = ""
    """The key that the entry was made for."""


NO_HEADER = HeaderFields()


def header_fields(element: object) -> HeaderFields:
    """What the last element of a key says.

    Raises:
        ValueError: it looked like a header.
    """
    if type(element) is not bytes or len(element) > LONGEST_HEADER:
        return NO_HEADER
    return _parsed(element)


@lru_cache(maxsize=4096)
def _parsed(element: bytes) -> HeaderFields:
    """Remembered, since a session in use is read many times in one state."""
    fields = element.split(b";")
    if len(fields) != FIELDS or fields[0] != MAGIC or fields[1] != VALID:
        return NO_HEADER
    _magic, _state, format_, version, token, session, ident, extent, *_ = fields
    workspace_id, base_seq, last_seq, owner = ident.split(b",")
    header = None
    if session:
        numbers = map(int, (workspace_id, version, token, base_seq, last_seq))
        header = Header(UUID(session.decode()), *numbers)
    return HeaderFields(header, format_.decode(), Extent(extent.decode()), owner.decode())


def state_of(header: Header | None) -> tuple[str, str]:
    """The token and the session, as a header has them: what an append must follow exactly."""
    return ("", "") if header is None else (str(header.vtoken), header.session_id.hex)


def ident_of(header: Header | None, key: str) -> str:
    """The field that clients alone read back: the rest of the row's header, and the key."""
    return f",,,{key}" if header is None else f"{header.workspace_id},{header.base_seq},{header.last_seq},{key}"


def light_enough(messages: Sequence[Message]) -> list[bytes]:
    """The newest messages as they are cached, as many as weigh at most HEAVIEST together."""
    kept, weight = [], 0
    for message in reversed(messages):
        encoded = to_json(message)
        weight += len(encoded)
        if weight > HEAVIEST:
            break
        kept.append(encoded)
    return kept[::-1]
