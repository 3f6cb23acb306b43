"""Owns the conversion of other tools' ids and times: whole numbers as ids, Unix seconds as times."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from chat_memory.exceptions import ValidationError
from chat_memory.fields import SETTABLE_MOMENTS
from chat_memory.rules.json_values import shown

_IDS = ("key", "user_key")
_PARTS = ("branches", "summaries", "feedback")
_TIMES = ("created_at", "updated_at")


def normal(value: Any, name: str) -> Any:
    """A value of a line of our own format by its name: ids as text, times as datetimes, also inside its lists.

    Raises:
        ValidationError: as ``text_id`` and ``moment``.
    """
    if name in _IDS:
        return text_id(value, name)
    if name in ("created_at", *SETTABLE_MOMENTS):
        return moment(value, name)
    if name in _PARTS and isinstance(value, list):
        return [_normal_part(part, f"{name}[{index}]") for index, part in enumerate(value)]
    return value


def _normal_part(part: Any, path: str) -> Any:
    if not isinstance(part, dict):
        return part
    try:
        return part | {name: moment(part[name], name) for name in _TIMES if name in part}
    except ValidationError as error:
        raise error.under(path) from None


def text_id(value: Any, field: str) -> Any:
    """A whole number as text; text and None are returned as they are.

    Raises:
        ValidationError: the value is something else. A fraction is refused, because its text would be ambiguous.
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValidationError(f"must be text or a whole number, not {shown(value)}", field=field)
    return f"{value:d}"


def moment(value: Any, field: str = "created_at") -> Any:
    """A number of Unix seconds as a datetime; any other value as it is.

    Raises:
        ValidationError: the number is out of range, for example because it is in milliseconds.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value
    try:
        return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        raise ValidationError(f"a number must be Unix seconds, not {shown(value)}", field=field) from None
