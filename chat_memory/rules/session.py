"""Owns the rules for the settable fields of a session, and for metadata."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from chat_memory.exceptions import ValidationError
from chat_memory.fields import SETTABLE
from chat_memory.rules.json_values import check_json
from chat_memory.rules.limits import Limits
from chat_memory.rules.names import check_key, check_text, plain
from chat_memory.rules.times import check_time

TITLE_LENGTH = 200
TAG_LENGTH = 100
MAX_TAGS = 100


def check_metadata(metadata: object, limits: Limits) -> None:
    """Check the metadata of a message, session or workspace: a JSON object within the limits.

    Raises:
        ValidationError: a value cannot be stored; the error has its path.
        TooLarge: the metadata exceeds MAX_METADATA_BYTES.
    """
    if not isinstance(metadata, dict):
        raise ValidationError(f"must be an object, not {type(metadata).__name__}", field="metadata")
    check_json(metadata, "metadata", limits.metadata_depth, limits.metadata_bytes, "MAX_METADATA_BYTES")


def check_session_fields(fields: Mapping[str, Any], limits: Limits) -> Mapping[str, Any]:
    """Check values for the settable fields of a session, and return them with all text as plain ``str``.

    Raises:
        ValidationError: a field is unknown or not settable, or a value cannot be stored.
        TooLarge: the metadata exceeds MAX_METADATA_BYTES.
    """
    for field, value in fields.items():
        if field not in SETTABLE:
            raise ValidationError(f"is not one of {', '.join(sorted(SETTABLE))}", field=field)
        _FIELD_CHECKS[field](value, field, limits)
    return {field: plain(value) for field, value in fields.items()}


def _check_title(value: object, field: str, _limits: Limits) -> None:
    if not isinstance(value, str):
        raise ValidationError(f"must be text, not {type(value).__name__}", field=field)
    check_text(value, field, TITLE_LENGTH)


def _check_tags(value: object, field: str, _limits: Limits) -> None:
    if not isinstance(value, list) or len(value) > MAX_TAGS:
        got = f"{len(value)} tags" if isinstance(value, list) else type(value).__name__
        raise ValidationError(f"must be a list of at most {MAX_TAGS} tags, not {got}", field=field)
    for index, tag in enumerate(value):
        check_key(tag, f"{field}[{index}]", TAG_LENGTH)


def _check_session_metadata(value: object, _field: str, limits: Limits) -> None:
    check_metadata(value, limits)


def _check_flag(value: object, field: str, _limits: Limits) -> None:
    if not isinstance(value, bool):
        raise ValidationError(f"must be true or false, not {type(value).__name__}", field=field)


def _check_moment(value: object, field: str, _limits: Limits) -> None:
    if value is not None:
        check_time(value, field)


_FIELD_CHECKS: Mapping[str, Callable[[object, str, Limits], None]] = {
    "title": _check_title,
    "tags": _check_tags,
    "metadata": _check_session_metadata,
    "pinned": _check_flag,
    "archived_at": _check_moment,
    "expires_at": _check_moment,
}
