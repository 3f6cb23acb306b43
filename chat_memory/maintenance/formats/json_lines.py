"""Owns a line as JSON: what of it is damage, and the bytes that every reader takes for one line."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import msgspec

from chat_memory.exceptions import ValidationError
from chat_memory.rules.json_values import object_of, unstorable

_LINE_ENDS = {sign.encode(): f"\\u{ord(sign):04x}".encode() for sign in "\x85\u2028\u2029"}
"""What some readers take for the end of a line, though JSON allows it inside text; and its escape."""


def parse(line: bytes) -> dict[str, Any]:
    """The object of a line.

    Raises:
        ValidationError: it is no JSON object, is nested too deeply, or has an object with the same name twice.
    """
    try:
        record = msgspec.json.decode(line)
        if not _is_written_alike(record, line):
            json.loads(line.decode(), object_pairs_hook=object_of)
    except RecursionError:
        raise ValidationError("nested too deeply") from None
    except (UnicodeDecodeError, msgspec.MsgspecError) as error:
        raise ValidationError(_damage(line, error)) from None
    if not isinstance(record, dict):
        hint = ": jq -c '.[]' makes lines of a list" if isinstance(record, list) else ""
        raise ValidationError(f"a line holds one conversation as an object, not {type(record).__name__}{hint}")
    return record


def write(record: Any) -> bytes:
    """The line of an object, its end included."""
    line = msgspec.json.encode(record)
    for sign, escape in _LINE_ENDS.items():
        line = line.replace(sign, escape)
    return line + b"\n"


def _damage(line: bytes, error: Exception) -> str:
    # Which of the two errors bytes that are not UTF-8 raise depends on the version of msgspec.
    try:
        line.decode()
    except UnicodeDecodeError as wrong:
        return f"is not UTF-8: {wrong.reason}"
    if _has_half_a_sign(line):
        return "a text has half of a sign, such as \\ud83d without the escape that belongs behind it"
    return f"is not JSON: {str(error).removeprefix('JSON is malformed: ')}"


def _has_half_a_sign(line: bytes) -> bool:
    """Whether a text has a lone surrogate, as tools write one that cut a text within an emoji."""
    with suppress(ValueError, RecursionError):
        return unstorable(json.dumps(json.loads(line), ensure_ascii=False).replace("\x00", ""))
    return False


def _is_written_alike(record: object, line: bytes) -> bool:
    """Whether a line is what its content is written as, like those of an export: then nothing was lost in reading it.

    In any other line an object may have a name twice, of which msgspec takes the last without a word.
    """
    with suppress(ValueError, OverflowError):  # a number that can be read and not written is for the rules to refuse
        return write(record) == line.strip() + b"\n"
    return False
