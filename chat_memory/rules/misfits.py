"""Owns the error messages for a value that does not fit its type, in place of msgspec's own messages."""

from __future__ import annotations

import re

import msgspec

from chat_memory.exceptions import ValidationError

_EXPECTED = re.compile(r"Expected `(?P<wanted>[^`]+)`(?:, got `(?P<got>\w+)`)?(?P<bound>.*)")
_FIELD = re.compile(r"Object (?P<trouble>missing required|contains unknown) field `(?P<name>.*)`", re.DOTALL)
_NULL = "null"
_WORDS = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "datetime": "a time such as 2025-01-31T12:00:00+00:00",
}


def misfit(error: msgspec.ValidationError, *, of_text: bool = False) -> ValidationError:
    """The error for a value that does not fit, with its path.

    Args:
        error: msgspec's error.
        of_text: whether the values came as text, as in a query string. Then the error names neither null nor the type
            that came, since it is always text.
    """
    text, _, path = str(error).partition(" - at `$")
    path = path.rstrip("`").removeprefix(".")
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
    got = f", not {expected['got']}" if expected["got"] and not of_text else ""
    return ValidationError(
        f"must be {_wanted(expected['wanted'], of_text=of_text)}{expected['bound']}{got}", field=path
    )


def _wanted(types: str, *, of_text: bool) -> str:
    """The types in msgspec's notation, such as ``int | null``, in words."""
    names = [name for name in types.split(" | ") if name != _NULL or not of_text]
    return " or ".join(_WORDS.get(name, name) for name in names)
