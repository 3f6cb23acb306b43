"""Owns what a reader's cursor says, and what follows from it for the reader's copy; pure, for every adapter.

A cursor says what a reader holds: the messages of one row of a conversation up to a position. Nobody remembers a
reader: what it holds is compared with what is stored. Two things tell that a database is not the one that was read, but
a backup or a replica that was behind: the digest of the last message that the reader holds, and the token of the last
change that it knows of.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Annotated, ClassVar, NamedTuple, Self
from uuid import UUID

import msgspec

from chat_memory.exceptions import ValidationError
from chat_memory.records import SessionRecord
from chat_memory.storage.listing import microseconds
from chat_memory.storage.mapping import fitting

LONGEST_CURSOR = 600
MOST_CHANGES = 10_000
"""A reader that is further behind begins anew."""
_DIGITS = 16
Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Moment = Annotated[int, msgspec.Meta(ge=0, le=250_000_000_000_000_000)]
"""Microseconds since 1970: a time that every database can hold."""
Short = Annotated[str, msgspec.Meta(max_length=16)]
NOTHING = ""
"""The digest where there is no message."""


class Cursor(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The base of cursors; as text they are short, and mean nothing to whoever carries them."""

    KIND: ClassVar[str]

    def __str__(self) -> str:
        packed = base64.urlsafe_b64encode(msgspec.msgpack.encode(self)).rstrip(b"=")
        return f"{self.KIND}{packed.decode()}"

    @classmethod
    def parse(cls, text: object) -> Self:
        """The cursor that a text stands for.

        Raises:
            ValidationError: it is not one of this kind.
        """
        known = isinstance(text, str) and len(text) <= LONGEST_CURSOR and text.isascii() and text.startswith(cls.KIND)
        try:
            if known and isinstance(text, str):
                packed = text[len(cls.KIND) :]
                padded = packed.encode() + b"=" * (-len(packed) % 4)
                return msgspec.msgpack.decode(base64.b64decode(padded, b"-_", validate=True), type=cls)
        except (binascii.Error, ValueError, msgspec.MsgspecError):
            pass
        raise ValidationError(f"must be a cursor that {cls.of_what()} returned", field="cursor")

    @classmethod
    def of_what(cls) -> str:
        """The call that returns cursors of this kind."""
        raise NotImplementedError


class Held(Cursor, frozen=True):
    """What a reader of a conversation holds: nothing, or messages of one row.

    Attributes:
        root: the id of the conversation's first row; None: there was no conversation.
        row: the id of the row that was read.
        base: the last position that was hidden.
        last: the position of the last message that it holds; ``base``: it holds none.
        digest: of the message there.
        number: of the last change that it knows of.
        token: of that change.
    """

    KIND = "m1"

    root: UUID | None = None
    row: UUID | None = None
    base: Number = 0
    last: Number = 0
    digest: Short = NOTHING
    number: Number = 0
    token: Number = 0

    @classmethod
    def of_what(cls) -> str:
        """See ``Cursor.of_what``."""
        return "changes of a conversation"


class Listed(Cursor, frozen=True):
    """What a reader of a list of conversations holds, or the page that it is at.

    Attributes:
        place: which list of which database; where it differs, the reader begins anew.
        since: when the look began by which the reader got what it holds: microseconds, or another number that grows.
        bound: the number of the oldest transaction that was open then.
        low: ``since`` of the look before; None: there is no further page of this one.
        low_bound: ``bound`` of the look before.
        after: the time of the last row of the page before.
        number: the number of that row among what is gone; None: the pages are those of conversations.
        after_id: the id of the conversation in that row.
        newest: the id of the conversation that changed last, of those that the reader was given.
        version: its version then.
        vtoken: its token then.
    """

    KIND = "s1"

    place: Short
    since: Moment
    bound: Number
    low: Moment | None = None
    low_bound: Number = 0
    after: Moment = 0
    number: Number | None = None
    after_id: UUID = UUID(int=0)
    newest: UUID | None = None
    version: Number = 0
    vtoken: Number = 0

    @classmethod
    def of_what(cls) -> str:
        """See ``Cursor.of_what``."""
        return "changes of sessions"


class Noted(NamedTuple):
    """A change of a stored message, as it was noted; ``taken``: the digest of a message that was taken off."""

    number: int
    token: int
    row: UUID
    seq: int
    taken: str = NOTHING


class Part(NamedTuple):
    """A row in a lineage, with the range of positions that a branch shows of it: (``low``, ``high``]."""

    row: UUID
    low: int
    high: int


class Plan(NamedTuple):
    """What a reader has to be told.

    Attributes:
        keep: the last position up to which what it holds is still shown.
        void_from: the first position that is not; None: all is.
        changed: the changes of messages that it keeps and that say something else, one for each message, in order.
        number: of the change up to which it is told.
        token: of that change.
        is_cut: whether there are further changes to tell.
    """

    keep: int
    void_from: int | None
    changed: list[Noted]
    number: int
    token: int
    is_cut: bool = False

    def cut(self, size: int) -> Plan:
        """The plan that tells of the first changed messages alone, at least of one; the others follow with the next."""
        if size >= len(self.changed):
            return self
        kept = self.changed[: max(1, size)]
        return self._replace(changed=kept, number=kept[-1].number, token=kept[-1].token, is_cut=True)


def room_for(records: Sequence[SessionRecord], most: int) -> int:
    """How many conversations, the first ones, a list of at most ``most`` bytes of JSON has room for; at least one."""
    texts = [msgspec.json.encode(msgspec.structs.replace(record, user_id=None)) for record in records]
    return len(fitting(texts, most, from_end=False)) if texts else 0


def digest(message_id: object, created_at: datetime | None) -> str:
    """A short digest of what tells a message apart from every other one: its id and its time."""
    moment = microseconds(created_at) if created_at else 0
    return sha256(f"{message_id} {moment}".encode()).hexdigest()[:_DIGITS]


def anew(base: int, last: Noted | None) -> Plan:
    """The plan for a reader that begins anew, or for the first time."""
    return Plan(base, 1, [], *(last[:2] if last else (0, 0)))


def plan(
    held: Held,
    noted: Sequence[Noted],
    *,
    base: int,
    shown: Sequence[Part],
    former: Sequence[Part],
    digest_at: Callable[[int], str],
    size: int,
) -> Plan | None:
    """What a reader of a conversation has to be told; None: it begins ``anew``.

    Args:
        held: what it holds.
        noted: the change that it knows of last, if it knows of any, and all later ones.
        base: the last position that is hidden now.
        shown: the lineage that is shown now, the root first.
        former: the lineage of the row that it read, the root first; none where the row is gone.
        digest_at: gives the digest of the message at a position of ``former``; NOTHING: there is none.
        size: how many changed messages it is told of at most.
    """
    later = _later(held, noted)
    if later is None or held.base != base or not former:
        return None
    taken = [each for each in later if each.taken and _is_of(each, former, held)]
    own = next((each.taken for each in taken if each.seq == held.last), None)
    if held.last > held.base and held.digest != (digest_at(held.last) if own is None else own):
        return None
    keep = min([held.last, *(each.seq - 1 for each in taken)])
    keep = max(base, min(keep, _common(former, shown, held.last)))
    void_from = keep + 1 if keep < held.last else None
    told = {each.seq: each for each in reversed(later) if not each.taken and _shows(shown, each)}
    changed = sorted(each for seq, each in told.items() if base < seq <= keep)
    last = later[-1] if later else held
    return Plan(keep, void_from, changed, last.number, last.token).cut(size)


def _later(held: Held, noted: Sequence[Noted]) -> list[Noted] | None:
    """The changes after the one that a reader knows of; None where some are missing, or that one is another."""
    if held.number:
        if not noted or noted[0][:2] != (held.number, held.token):
            return None
        noted = noted[1:]
    whole = all(each.number == number for number, each in enumerate(noted, held.number + 1))
    return list(noted) if whole and len(noted) <= MOST_CHANGES else None


def _is_of(each: Noted, former: Sequence[Part], held: Held) -> bool:
    """Whether a message that was taken off was one that the reader may hold, or follows what it holds."""
    if each.row == held.row:
        return each.seq <= held.last
    return any(part.row == each.row and part.low < each.seq <= min(part.high, held.last) for part in former)


def _shows(shown: Sequence[Part], each: Noted) -> bool:
    return any(part.row == each.row and part.low < each.seq <= part.high for part in shown)


def _common(former: Sequence[Part], shown: Sequence[Part], last: int) -> int:
    """The last position up to which two lineages are of the same rows."""
    common = 0
    ours, theirs = ([part for part in line if part.low < part.high] for line in (former, shown))
    for one, other in zip(ours, theirs, strict=False):
        if one.row != other.row:
            return common
        common = min(one.high, other.high, last)
        if one.high != other.high:
            return common
    return common
