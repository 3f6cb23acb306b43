"""Owns how a part of a line becomes a Struct."""

from __future__ import annotations

from datetime import datetime
from typing import TypeVar

import msgspec

from chat_memory.exceptions import ValidationError
from chat_memory.records import as_utc
from chat_memory.rules.misfits import misfit

Shape = TypeVar("Shape", bound=msgspec.Struct)


def shaped(value: object, shape: type[Shape]) -> Shape:
    """The value as a Struct, which names every key it may have.

    Raises:
        ValidationError: it is something else; the text says what, and ``field`` where.
    """
    try:
        return msgspec.convert(value, shape)
    except RecursionError:
        raise ValidationError("nested too deeply") from None
    except msgspec.ValidationError as error:
        raise misfit(error) from None


def utc(moment: datetime | None, field: str) -> datetime | None:
    """A time of a line as UTC; a time without an offset has got one from the clock before.

    Raises:
        ValidationError: in UTC it lies outside of the calendar.
    """
    try:
        return as_utc(moment)
    except OverflowError:
        raise ValidationError("is out of range in UTC", field=field) from None
