"""Owns the conversion of a part of a line to a Struct."""

from __future__ import annotations

from datetime import datetime
from typing import TypeVar

import msgspec

from chat_memory.exceptions import ValidationError
from chat_memory.records import as_utc
from chat_memory.rules.misfits import misfit

Shape = TypeVar("Shape", bound=msgspec.Struct)


def shaped(value: object, shape: type[Shape]) -> Shape:
    """The value converted to a Struct.

    Raises:
        ValidationError: the value does not fit the Struct; ``field`` is the path of the part that does not.
    """
    try:
        return msgspec.convert(value, shape)
    except RecursionError:
        raise ValidationError("nested too deeply") from None
    except msgspec.ValidationError as error:
        raise misfit(error) from None


def utc(moment: datetime | None, field: str) -> datetime | None:
    """A time of a line in UTC; the clock has already given an offset to times without one.

    Raises:
        ValidationError: the time is out of range in UTC.
    """
    try:
        return as_utc(moment)
    except OverflowError:
        raise ValidationError("is out of range in UTC", field=field) from None
