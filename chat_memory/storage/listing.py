"""Owns the filter, the order and the paging of lists of conversations, and their usage totals."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from chat_memory.choices import Role
from chat_memory.exceptions import ValidationError
from chat_memory.records import Message, SessionRecord

COST = "cost"
"""The key in a message's metadata under which the application may store what the message cost."""
_PAGE = 500
_MILLION = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_CURSOR = re.compile(r"(-?[0-9]{1,18})\.([0-9a-f]{32})", re.ASCII)


class Filter(msgspec.Struct, frozen=True):
    """Conditions on the conversations of a workspace; all that are set must hold. None: no condition.

    Attributes:
        user_key: conversations of this owner; "": conversations without an owner.
        user_id: conversations of the owner with this primary key; finds nothing where a back end stores only user keys.
        outside: True: only conversations whose owner is not a user of the host, even if such a user has the same key.
        key: the conversation with this key.
        tags: conversations that have all these tags.
        title: conversations whose title contains this text, ignoring case.
        since: conversations whose ``active_at`` is this time or later.
        until: conversations whose ``active_at`` is before this time.
        archived: True: archived conversations; False: the others.
        pinned: True: pinned conversations; False: the others.
        workspace_id: the workspace must have this id: its slug may have gone to another one since the caller looked it
            up. Ignored where a back end has no such ids.
    """

    user_key: str | None = None
    key: str | None = None
    tags: tuple[str, ...] = ()
    title: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    archived: bool | None = None
    pinned: bool | None = None
    user_id: Any = None
    outside: bool | None = None
    workspace_id: int | None = None

    def takes(self, record: SessionRecord) -> bool:
        """Whether a conversation meets all conditions."""
        conditions = (
            self.user_key in (None, record.user_key),
            self.user_id in (None, record.user_id),
            not self.outside or record.user_id is None,
            self.key in (None, record.key),
            set(self.tags) <= set(record.tags),
            self.title is None or re.search(pattern(self.title), record.title) is not None,
            self.since is None or record.active_at >= self.since,
            self.until is None or record.active_at < self.until,
            self.archived in (None, record.archived_at is not None),
            self.pinned in (None, record.pinned),
        )
        return all(conditions)

    def start(self, before: Cursor | None) -> Cursor | None:
        """The place after which a list that follows ``before`` begins; ``until`` may move it further down."""
        if self.until is None:
            return before
        latest = Cursor(self.until, UUID(int=0))
        return latest if before is None else min(before, latest)


NO_FILTER = Filter()


def pattern(text: str) -> str:
    """A regular expression that matches text containing ``text``, ignoring case."""
    return f"(?i){re.escape(text)}"


class Cursor(msgspec.Struct, frozen=True, order=True):
    """A place in a list of conversations, which is ordered by ``active_at`` and then id, both descending."""

    active_at: datetime
    id: UUID

    @classmethod
    def of(cls, record: SessionRecord) -> Cursor:
        """The place of a conversation."""
        return cls(record.active_at, record.id)

    def __str__(self) -> str:
        return f"{microseconds(self.active_at)}.{self.id.hex}"

    @classmethod
    def parse(cls, text: object) -> Cursor:
        """The cursor of a text that ``str(cursor)`` returned.

        Raises:
            ValidationError: the text is not a cursor.
        """
        match = _CURSOR.fullmatch(text) if isinstance(text, str) else None
        try:
            if match is not None:
                return cls(moment_at(int(match[1])), UUID(match[2]))
        except OverflowError:
            pass
        raise ValidationError("must be a cursor that a page returned as next", field="before")


class Usage(msgspec.Struct, frozen=True):
    """Totals over conversations: each stored message counts once, even if several branches share it or it is hidden.

    Attributes:
        sessions: the number of conversations.
        messages: the number of messages.
        input_tokens: the tokens of all messages except the assistant's.
        output_tokens: the tokens of the assistant's messages.
        recorded_cost: the sum of the numbers that the application stored as ``metadata["cost"]`` of messages.
    """

    sessions: int = 0
    messages: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    recorded_cost: Decimal = Decimal(0)

    @classmethod
    def of(cls, messages: Iterable[Message]) -> Usage:
        """The usage of one conversation with these messages."""
        stored = list(messages)
        tokens = sum(message.tokens or 0 for message in stored)
        output = sum(message.tokens or 0 for message in stored if message.role == Role.ASSISTANT.value)
        return cls(1, len(stored), tokens - output, output, sum(map(_cost, stored), Decimal(0)))

    def __add__(self, other: Usage) -> Usage:
        pairs = zip(msgspec.structs.astuple(self), msgspec.structs.astuple(other), strict=True)
        return Usage(*(mine + theirs for mine, theirs in pairs))

    @property
    def tokens(self) -> int:
        """All tokens."""
        return self.input_tokens + self.output_tokens

    def cost(self, input_price: Decimal | float | str, output_price: Decimal | float | str) -> Decimal:
        """The cost of these tokens if each is sent once; prices are per million tokens, in any currency.

        A provider bills more for input, since each call to a model sends the history again. For exact sums, store the
        cost of each answer as ``metadata["cost"]`` and read ``recorded_cost``.

        Raises:
            ValidationError: a price is not a number, or is negative.
        """
        spent = self.input_tokens * _price(input_price, "input_price")
        return (spent + self.output_tokens * _price(output_price, "output_price")) / _MILLION


def microseconds(moment: datetime) -> int:
    """A time as microseconds since 1970 (UTC), a whole number; negative before."""
    return (moment - _EPOCH) // _MICROSECOND


def moment_at(number: int) -> datetime:
    """The time that is ``number`` microseconds after the beginning of 1970 (UTC).

    Raises:
        OverflowError: the time is outside the range of datetime.
    """
    return _EPOCH + number * _MICROSECOND


def every(find: Callable[..., list[SessionRecord]], workspace: str, wanted: Filter) -> Iterator[SessionRecord]:
    """All conversations that meet the filter, last active first; ``find`` is called for one page at a time."""
    before = None
    while page := find(workspace, wanted, before=before, size=_PAGE):
        yield from page
        before = Cursor.of(page[-1])


def _cost(message: Message) -> Decimal:
    cost = (message.metadata or {}).get(COST)
    return Decimal(str(cost)) if isinstance(cost, int | float) and not isinstance(cost, bool) else Decimal(0)


def _price(value: object, field: str) -> Decimal:
    try:
        price = Decimal(str(value))
    except ArithmeticError:
        price = Decimal("NaN")
    if not price.is_finite() or price < 0:
        raise ValidationError("must be a number from 0", field=field)
    return price
