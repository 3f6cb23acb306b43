"""Owns the entry, the value of a key of the cache: its layout in bytes and its meaning; it does no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

from chat_memory.records import Header, Message
from chat_memory.storage.mapping import to_json

LAYOUT = 4
"""The number of the entries' layout, raised with every change of it. An older release never changes newer entries."""
HEAVIEST = 1024 * 1024
"""The maximum bytes of messages in one entry; Redis takes too long to return more."""
MAGIC = b"cm1"
"""The first field of every header."""
VALID = b"V"
"""The second field of a header whose entry may be read."""
FIELDS = 12
"""The number of fields in a header (``scripts/header.lua`` lists them); a newer layout may have more."""
LONGEST_HEADER = 512
"""The maximum bytes of a header; a longer element is not a header."""


class Extent(StrEnum):
    """How much of the history an entry holds: a field of its header."""

    ALL = "1"
    """All visible messages of the session."""
    NEWEST = "0"
    """The newest messages."""
    CUT = "cut"
    """As many of the newest messages as fit into HEAVIEST bytes."""


class Entry(NamedTuple):
    """The newest messages of a session as JSON, and the row's state when they were read (None: no such session)."""

    header: Header | None
    extent: Extent
    messages: Sequence[bytes]

    @property
    def whole(self) -> bool:
        """Whether the key holds all visible messages of the session; this object may have fewer of them."""
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
        """The number of visible messages of the session; positions have no gaps."""
        return 0 if self.header is None else self.header.visible

    @property
    def has_everything(self) -> bool:
        """Whether this object has all visible messages; another process' larger CACHE_TAIL may have cached more."""
        return self.whole and len(self.messages) == self.visible

    def is_at(self, header: Header) -> bool:
        """Whether the row is in the state that the entry was read at (rule 1)."""
        return self.header == header

    def is_of(self, session_id: UUID | None) -> bool:
        """Whether the entry is of the session with this id, not of another session of the same name, or of none."""
        return self.header is not None and self.header.session_id == session_id

    def is_ahead_of(self, header: Header) -> bool:
        """Whether the entry is newer than the row: the row was read too early, or the database was set back."""
        return self.is_of(header.session_id) and self.version > header.version

    def is_complete(self, newest: int) -> bool:
        """Whether as many messages were read as the header promises, where the ``newest`` messages were requested."""
        return not self.whole or len(self.messages) == min(newest, self.visible)


class HeaderFields(NamedTuple):
    """The fields of an entry's header; ``format`` is "" if the element is not the header of a valid entry."""

    header: Header | None = None
    format: str = ""
    extent: Extent = Extent.NEWEST
    owner: str = ""
    """The Redis key that the entry was written under."""


NO_HEADER = HeaderFields()


def header_fields(element: object) -> HeaderFields:
    """The fields in the last element of a key's list; NO_HEADER if it is not that of a valid entry.

    Raises:
        ValueError: it begins like such a header, but one of its fields is damaged.
    """
    if type(element) is not bytes or len(element) > LONGEST_HEADER:
        return NO_HEADER
    return _parsed(element)


@lru_cache(maxsize=4096)
def _parsed(element: bytes) -> HeaderFields:
    """As ``header_fields``; results are kept, since an active session is read many times in one state."""
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
    """The fields ``token`` and ``session`` of an entry's header."""
    return ("", "") if header is None else (str(header.vtoken), header.session_id.hex)


def ident_of(header: Header | None, key: str) -> str:
    """The field ``ident``, which the scripts do not read: the rest of the row's state, and the Redis key."""
    return f",,,{key}" if header is None else f"{header.workspace_id},{header.base_seq},{header.last_seq},{key}"


def light_enough(messages: Sequence[Message]) -> list[bytes]:
    """As many of the newest messages as fit into HEAVIEST bytes, encoded for the cache, oldest first."""
    kept, weight = [], 0
    for message in reversed(messages):
        encoded = to_json(message)
        weight += len(encoded)
        if weight > HEAVIEST:
            break
        kept.append(encoded)
    return kept[::-1]
