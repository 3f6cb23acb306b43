r"""Owns the readable form of JSON on a page: indented unless that makes it too long, ``\u00e9`` shown as é."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

import msgspec

LONGEST = 20_000
"""Characters; longer JSON is shown as stored."""
SPACES = 20_000
"""JSON that indentation would lengthen by more characters than this is shown as stored.

Many values in a deep nesting can make it a thousand times as long.
"""
INDENT = 2

_ESCAPES = re.compile(r"(\\\\)|((?:\\u[0-9a-fA-F]{4})+)")


def pretty(text: str) -> str:
    """Indented JSON, with key order and numbers unchanged and non-ASCII characters readable.

    Text that is not JSON, or is too long or too deep to indent, is returned as it is.
    """
    if len(text) > LONGEST:
        return text
    try:
        if _spaces(msgspec.json.decode(text)) > SPACES:
            return text
        formatted = msgspec.json.format(text, indent=INDENT)
    except (msgspec.DecodeError, RecursionError, ValueError):
        return text
    return readable(formatted)


def pretty_value(value: Any) -> str:
    """A value as indented JSON text."""
    return pretty(json.dumps(value, ensure_ascii=False))


def readable(text: str) -> str:
    r"""JSON text with escapes such as ``\u00e9`` replaced by the character; quotes and controls stay escaped."""
    return _ESCAPES.sub(_unescaped, text)


def _unescaped(match: re.Match[str]) -> str:
    if match[1]:
        return match[0]
    text: str = json.loads(f'"{match[2]}"')
    return text if text.isprintable() and not {'"', "\\"} & set(text) else match[0]


def _spaces(value: Any) -> int:
    """The approximate number of spaces needed to indent a value; counting stops once it is above SPACES."""
    level, depth, spaces = [value], 0, 0
    while level and spaces <= SPACES:
        depth += 1
        level = [below for each in level for below in _below(each)]
        spaces += INDENT * depth * len(level)
    return spaces


def _below(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
