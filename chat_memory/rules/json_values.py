"""Owns which JSON values and texts may be stored: only those that every database and client can represent."""

from __future__ import annotations

from collections import Counter
from math import isfinite
from typing import Any

import msgspec

from chat_memory.exceptions import TooLarge, ValidationError

MAX_DIGITS = 4_000
"""The longest integer; Python refuses to parse one of more than 4300 digits."""
LARGEST_JSON = 100_000
"""The most objects and lists in one JSON value, because an empty one of 3 bytes of JSON takes dozens in memory."""
_MAX_BITS = MAX_DIGITS * 3322 // 1000
_SHOWN_BITS = 100


def object_of(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object from its members, as an ``object_pairs_hook`` of Python's JSON parser.

    Raises:
        ValidationError: a name occurs twice, so the meaning is ambiguous.
    """
    json_object = dict(members)
    if len(json_object) != len(members):
        ((name, _times),) = Counter(name for name, _value in members).most_common(1)
        raise ValidationError(f"an object has the same name twice: {shown(name)}")
    return json_object


def check_json(value: object, field: str, depth: int, size: int, setting: str) -> None:
    """Check that a value is plain JSON: objects with text keys, lists, text, finite numbers, booleans and None.

    Args:
        value: the value to check.
        field: the path of the value, for errors.
        depth: the maximum number of nested levels.
        size: the maximum length in bytes of JSON.
        setting: the name of the setting that limits the size, for errors.

    Raises:
        ValidationError: a value is of another type, cannot be stored, or is nested too deeply; with its path.
        TooLarge: the JSON is longer than ``size``, or has more than LARGEST_JSON objects and lists.
    """
    try:
        length = len(msgspec.json.encode(value))
    except RecursionError:
        raise ValidationError(f"nested deeper than {depth} levels (MAX_METADATA_DEPTH)", field=field) from None
    except (TypeError, ValueError, OverflowError):
        length = -1  # the check of the levels below finds the value that cannot be encoded
    if length > size:
        raise TooLarge(f"{length} bytes of JSON, over {setting} ({size})", field=field)
    _check_levels([(field, value)], field, depth)
    if length < 0:
        raise ValidationError("is not JSON", field=field)


def _check_levels(level: list[tuple[str, object]], field: str, depth: int) -> None:
    """Check all values, level by level; recursion would let a deeply nested value exhaust the stack."""
    containers = 0
    for _ in range(depth + 1):
        containers += sum(isinstance(value, (dict, list, tuple)) for _path, value in level)
        if containers > LARGEST_JSON:
            raise TooLarge(f"more than {LARGEST_JSON} objects and lists", field=field)
        level = [below for path, value in level for below in _below(path, value)]
        if not level:
            return
    raise ValidationError(f"nested deeper than {depth} levels (MAX_METADATA_DEPTH)", field=field)


def _below(path: str, value: object) -> list[tuple[str, object]]:
    """The values in a container, with their paths; none for a leaf, which is checked instead."""
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise ValidationError(f"key {shown(key)} is not text", field=path)
            _check_leaf(key, path)
        return [(f"{path}.{key[:40]}", item) for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return [(f"{path}[{index}]", item) for index, item in enumerate(value)]
    _check_leaf(value, path)
    return []


def _check_leaf(value: object, path: str) -> None:
    kind = type(value)
    if kind is str:
        if unstorable(str(value)):
            raise ValidationError("must not contain NUL or lone surrogates", field=path)
    elif isinstance(value, bool) or value is None:
        return
    elif isinstance(value, int) and kind is int:
        if value.bit_length() > _MAX_BITS:
            raise ValidationError(f"must not have more than {MAX_DIGITS} digits", field=path)
    elif isinstance(value, float) and kind is float:
        if not isfinite(value):
            raise ValidationError(f"{value} is not a JSON number", field=path)
    else:
        raise ValidationError(f"{kind.__name__} is not a JSON type", field=path)


def unstorable(text: str) -> bool:
    """Whether PostgreSQL would refuse the text: it contains a NUL, or a surrogate that UTF-8 cannot encode."""
    if "\x00" in text:
        return True
    if text.isascii():
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def shown(value: object) -> str:
    """A value as text for an error: shortened, and without ``repr`` of huge numbers or nested values."""
    if isinstance(value, str):
        return ascii(value[:40])
    if value is None or type(value) in (bool, float) or (type(value) is int and value.bit_length() < _SHOWN_BITS):
        return repr(value)
    return f"a value of type {type(value).__name__}"
