"""Owns how a part of a line becomes a Struct, and how what is wrong with it is said."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TypeVar

import msgspec

from chat_memory.exceptions import ValidationError
from chat_memory.records import as_utc

Shape = TypeVar("Shape", bound=msgspec.Struct)

_EXPECTED = re.compile(r"Expected `(?P<wanted>\w+)[^`]*`(?:, got `(?P<got>\w+)`)?(?P<bound>.*)")
_FIELD = re.compile(r"Object (?P<trouble>missing required|contains unknown) field `(?P<name>.*)`", re.DOTALL)
_WORDS = {
    "str": "text",
    "int": "a whole number",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "datetime": "a time such as 2025-01-31T12:00:00+00:00",
}


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
        text, _, path = str(error).partition(" - at `$")
        raise _refusal(text, path.rstrip("`").removeprefix(".")) from None


def utc(moment: datetime | None, field: str) -> datetime | None:
    """A time of a line as UTC; a time without an offset has got one from the clock before.

    Raises:
        ValidationError: in UTC it lies outside of the calendar.
    """
    try:
        return as_utc(moment)
    except OverflowError:
        raise ValidationError("is out of range in UTC", field=field) from None


def _refusal(text: str, path: str) -> ValidationError:
    if field := _FIELD.fullmatch(text):
        name = field["name"]
        if field["trouble"] == "contains unknown":
            return ValidationError(f"this version does not know the key {name[:40]!r}", field=path)
        return ValidationError("is missing", field=f"{path}.{name}" if path else name)
    if text.startswith("Invalid RFC3339"):
        return ValidationError(f"must be {_WORDS['datetime']}", field=path)
    expected = _EXPECTED.fullmatch(text)
    if expected is None:
        return ValidationError(text, field=path)
    wanted = _WORDS.get(expected["wanted"], expected["wanted"])
    got = f", not {expected['got']}" if expected["got"] else ""
    return ValidationError(f"must be {wanted}{expected['bound']}{got}", field=path)
