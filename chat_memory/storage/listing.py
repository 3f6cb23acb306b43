"""Owns which conversations a listing takes, in what order, and what they add up to; it must not know where they are."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import msgspec

from chat_memory.choices import Role
from chat_memory.exceptions import ValidationError
from chat_memory.records import Message, SessionRecord

COST = "cost"
"""Under which name a message's metadata carries what it cost, where the application stores that."""
_PAGE = 500
_MILLION = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_CURSOR = re.compile(r"(-?[0-9]{1,18})\.([0-9a-f]{32})", re.ASCII)


class Filter(msgspec.Struct, frozen=True):
    """Which conversations of a workspace are wanted: those that meet every condition that is given.

    Attributes:
        user_key: whose they are; "": those of nobody.
        key: the one of this key.
        tags: those that have all of these.
        title: those whose title contains this text, upper or lower case alike.
        since: those that changed last at this moment or after it.
        until: those that changed last before this moment.
        archived: whether they are put aside.
        pinned: whether they are pinned.
    """

    user_key: str | None = None
    key: str | None = None
    tags: tuple[str, ...] = ()
    title: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    archived: bool | None = None
    pinned: bool | None = None

    def takes(self, record: SessionRecord) -> bool:
        """Whether a conversation is wanted."""
        conditions = (
            self.user_key in (None, record.user_key),
            self.key in (None, record.key),
            set(self.tags) <= set(record.tags),
            self.title is None or re.search(pattern(self.title), record.title) is not None,
            self.since is None or record.updated_at >= self.since,
            self.until is None or record.updated_at < self.until,
            self.archived in (None, record.archived_at is not None),
            self.pinned in (None, record.pinned),
        )
        return all(conditions)

    def start(self, before: Cursor | None) -> Cursor | None:
        """The place after which what is wanted begins, where the listing is to go on after ``before``."""
        if self.until is None:
            return before
        latest = Cursor(self.until, UUID(int=0))
        return latest if before is None else min(before, latest)


EVERY = Filter()


def pattern(text: str) -> str:
    """The regular expression for text that contains this one, upper or lower case alike."""
    return f"(?i){re.escape(text)}"


class Cursor(msgspec.Struct, frozen=True, order=True):
    """A place in a listing, which is by last change, newest first, and by id where two changed at the same moment."""

    updated_at: datetime
    id: UUID

    @classmethod
    def of(cls, record: SessionRecord) -> Cursor:
        """The place of a conversation."""
        return cls(record.updated_at, record.id)

    def __str__(self) -> str:
        return f"{(self.updated_at - _EPOCH) // _MICROSECOND}.{self.id.hex}"

    @classmethod
    def parse(cls, text: object) -> Cursor:
        """The place that a cursor's text stands for.

        Raises:
            ValidationError: it is no such text.
        """
        found = _CURSOR.fullmatch(text) if isinstance(text, str) else None
        try:
            if found is not None:
                return cls(_EPOCH + int(found[1]) * _MICROSECOND, UUID(found[2]))
        except OverflowError:
            pass
        raise ValidationError("must come from a page's next", field="before")


class Usage(msgspec.Struct, frozen=True):
    """What conversations hold: every stored message once, however many branches show it and whether one still does.

    Attributes:
        sessions: how many conversations.
        messages: how many messages.
        input_tokens: those of all messages but the assistant's.
        output_tokens: those of the assistant's messages.
        recorded_cost: the sum of the numbers that the application stored as ``metadata["cost"]`` of messages.
    """

    sessions: int = 0
    messages: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    recorded_cost: Decimal = Decimal(0)

    @classmethod
    def of(cls, messages: Iterable[Message]) -> Usage:
        """That of one conversation with these messages."""
        stored = list(messages)
        said = [message.tokens or 0 for message in stored if message.role == Role.ASSISTANT.value]
        tokens = sum(message.tokens or 0 for message in stored)
        return cls(1, len(stored), tokens - sum(said), sum(said), sum(map(_cost, stored), Decimal(0)))

    def __add__(self, other: Usage) -> Usage:
        pairs = zip(msgspec.structs.astuple(self), msgspec.structs.astuple(other), strict=True)
        return Usage(*(mine + theirs for mine, theirs in pairs))

    @property
    def tokens(self) -> int:
        """All tokens."""
        return self.input_tokens + self.output_tokens

    def cost(self, input_price: Decimal | float | str, output_price: Decimal | float | str) -> Decimal:
        """What these tokens cost once, at prices per million tokens.

        A model is sent the history anew with each call, so what a provider bills for input is more than this: store
        the bill of each answer as ``metadata["cost"]`` where the sum must be exact, and read ``recorded_cost``.

        Raises:
            ValidationError: a price is no number from 0.
        """
        spent = self.input_tokens * _price(input_price, "input_price")
        return (spent + self.output_tokens * _price(output_price, "output_price")) / _MILLION


def every(find: Callable[..., list[SessionRecord]], workspace: str, wanted: Filter) -> Iterator[SessionRecord]:
    """All conversations that are wanted, page by page."""
    before = None
    while page := find(workspace, wanted, before=before, size=_PAGE):
        yield from page
        before = Cursor.of(page[-1])


def _cost(message: Message) -> Decimal:
    given = (message.metadata or {}).get(COST)
    return Decimal(str(given)) if isinstance(given, int | float) and not isinstance(given, bool) else Decimal(0)


def _price(given: object, field: str) -> Decimal:
    try:
        price = Decimal(str(given))
    except ArithmeticError:
        price = Decimal("NaN")
    if not price.is_finite() or price < 0:
        raise ValidationError("must be a number from 0", field=field)
    return price
