"""Owns the cursors of readers that keep copies, and the comparison of a cursor with the store; it must not do I/O.

A cursor says what a reader holds: the messages of one row of a conversation up to a position. The store remembers no
reader; each call compares the cursor with what is stored. The database may have been replaced by a backup or by a
replica that was behind. The cursor has two values that reveal this: the digest of the last message that the reader
holds, and the token of the last change that it knows of.
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
"""A reader that is behind by more changes of messages begins anew."""
_DIGITS = 16
Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Moment = Annotated[int, msgspec.Meta(ge=0, le=250_000_000_000_000_000)]
"""Microseconds since 1970: a time that every database can hold."""
Short = Annotated[str, msgspec.Meta(max_length=16)]
NOTHING = ""
"""The digest where there is no message."""


class Cursor(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The base class of cursors; as text, a cursor is short and opaque."""

    KIND: ClassVar[str]

    def __str__(self) -> str:
        packed = base64.urlsafe_b64encode(msgspec.msgpack.encode(self)).rstrip(b"=")
        return f"{self.KIND}{packed.decode()}"

    @classmethod
    def parse(cls, text: object) -> Self:
        """The cursor of a text.

        Raises:
            ValidationError: the text is not a cursor of this kind.
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
        """What returns cursors of this kind, for the error message."""
        raise NotImplementedError


class Held(Cursor, frozen=True):
    """What a reader of a conversation holds: nothing, or messages of one row.

    Attributes:
        root: the id of the conversation's first row; None: there was no conversation.
        row: the id of the row that was read.
        base: the last position that was hidden.
        last: the position of the last message that the reader holds; ``base``: it holds none.
        digest: the digest of that message.
        number: the number of the last change that the reader knows of.
        token: the token of that change.
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
    """What a reader of a list of conversations holds, or which page of the present look comes next.

    A look finds all changes since the look before it, and is read page by page.

    Attributes:
        place: identifies the list and the database; if it differs, the reader begins anew.
        since: when the look began: in microseconds, or another growing number.
        bound: the number of the oldest transaction that was open when the look began; in memory, the time.
        low: ``since`` of the look before; None: the look has no further page.
        low_bound: ``bound`` of the look before.
        after: the time of the last row of the page before.
        number: the number of that row among the deleted conversations; None: the pages are of changed conversations.
        after_id: the id of the conversation in that row.
        newest: the id of the conversation that changed last among those that the reader was given.
        version: the version that conversation had.
        vtoken: the token that conversation had.
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
    """A recorded change of a stored message; ``taken``: the digest of the message, if the change removed it."""

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
    """What changes in a reader's copy.

    Attributes:
        keep: the last position up to which the reader's messages are still shown.
        void_from: the first position from which they are not shown any more; None: all are shown.
        changed: the changes of messages that the reader keeps, one per message, in order.
        number: the number of the last change that the plan covers.
        token: the token of that change.
        is_cut: whether there are further changes after that one.
    """

    keep: int
    void_from: int | None
    changed: list[Noted]
    number: int
    token: int
    is_cut: bool = False

    def cut(self, size: int) -> Plan:
        """The plan with only the first ``size`` changed messages, but at least one; the next call tells the others."""
        if size >= len(self.changed):
            return self
        kept = self.changed[: max(1, size)]
        return self._replace(changed=kept, number=kept[-1].number, token=kept[-1].token, is_cut=True)


def room_for(records: Sequence[SessionRecord], most: int) -> int:
    """How many of the first conversations fit into a list of ``most`` bytes of JSON; at least one."""
    texts = [msgspec.json.encode(msgspec.structs.replace(record, user_id=None)) for record in records]
    return len(fitting(texts, most, from_end=False)) if texts else 0


def digest(message_id: object, created_at: datetime | None) -> str:
    """A short digest of a message's id and time, which together identify the message."""
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
    """What changes in the copy of a reader of a conversation; None: the reader begins ``anew``.

    Args:
        held: the reader's cursor.
        noted: the last change that the reader knows of, if there is one, and all later changes.
        base: the last position that is hidden now.
        shown: the lineage of the branch that is read now, the root first.
        former: the lineage of the row that the reader read, the root first; empty if the row is gone.
        digest_at: returns the digest of the message at a position of ``former``; NOTHING: there is no message.
        size: the maximum number of changed messages.
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
    """The changes after the last one that a reader knows of; None if that one differs, or some are missing or many."""
    if held.number:
        if not noted or noted[0][:2] != (held.number, held.token):
            return None
        noted = noted[1:]
    whole = all(each.number == number for number, each in enumerate(noted, held.number + 1))
    return list(noted) if whole and len(noted) <= MOST_CHANGES else None


def _is_of(each: Noted, former: Sequence[Part], held: Held) -> bool:
    """Whether the reader may hold a message that was removed."""
    if each.row == held.row:
        return each.seq <= held.last
    return any(part.row == each.row and part.low < each.seq <= min(part.high, held.last) for part in former)


def _shows(shown: Sequence[Part], each: Noted) -> bool:
    return any(part.row == each.row and part.low < each.seq <= part.high for part in shown)


def _common(former: Sequence[Part], shown: Sequence[Part], last: int) -> int:
    """The last position up to which two lineages consist of the same rows."""
    common = 0
    ours, theirs = ([part for part in line if part.low < part.high] for line in (former, shown))
    for one, other in zip(ours, theirs, strict=False):
        if one.row != other.row:
            return common
        common = min(one.high, other.high, last)
        if one.high != other.high:
            return common
    return common
