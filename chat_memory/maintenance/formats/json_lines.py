"""Owns the JSON of a line: parsing that refuses damage, and writing that every reader takes for exactly one line."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import msgspec

from chat_memory.exceptions import ValidationError
from chat_memory.rules.json_values import object_of, unstorable

_LINE_ENDS = {sign.encode(): f"\\u{ord(sign):04x}".encode() for sign in "\x85\u2028\u2029"}
"""Characters that JSON allows inside text, but that some readers take for the end of a line, and their escapes."""

_COMPRESSED = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"(\xb5/\xfd": "zstd"}
_OTHER_TEXT = (b"\xff\xfe", b"\xfe\xff")
_OPEN = (b"{", b"[")
"""The first line of JSON that is written over several lines."""
_SQLITE = b"SQLite format 3"


def check_start(line: bytes) -> None:
    """Check by its first line that a file can contain JSON Lines; otherwise every line of it would be damaged.

    Raises:
        ValidationError: it is compressed, a database, or text in UTF-16.
    """
    compressed = next((name for start, name in _COMPRESSED.items() if line.startswith(start)), None)
    if compressed is not None:
        raise ValidationError(f"the file is compressed with {compressed}: decompress it first")
    if line.startswith(_OTHER_TEXT):
        raise ValidationError("the file is in UTF-16: iconv -f UTF-16 -t UTF-8 converts it")
    if line.startswith(_SQLITE):
        raise ValidationError("the file is a database of SQLite, not JSON Lines")


def parse(line: bytes) -> dict[str, Any]:
    """The object of a line.

    Raises:
        ValidationError: the line is not a JSON object, is nested too deeply, or has an object with a name twice.
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
    # It depends on the version of msgspec which of the two errors is raised for bytes that are not UTF-8.
    try:
        line.decode()
    except UnicodeDecodeError as wrong:
        return f"is not UTF-8: {wrong.reason}"
    if _has_half_a_sign(line):
        return "a text has half of a character: an escape such as \\ud83d needs the second escape that completes it"
    hint = ": jq -c . converts JSON over several lines to one line" if line.strip() in _OPEN else ""
    return f"is not JSON: {str(error).removeprefix('JSON is malformed: ')}{hint}"


def _has_half_a_sign(line: bytes) -> bool:
    """Whether a text has a lone surrogate; some tools write one when they cut a text in the middle of an emoji."""
    with suppress(ValueError, RecursionError):
        return unstorable(json.dumps(json.loads(line), ensure_ascii=False).replace("\x00", ""))
    return False


def _is_written_alike(record: object, line: bytes) -> bool:
    """Whether writing the record gives the same line again, as for a line of an export: then no name occurs twice.

    In any other line an object may have the same name twice; msgspec silently takes the last value.
    """
    with suppress(ValueError, OverflowError):  # a number that can be read but not written is refused by ``rules``
        return write(record) == line.strip() + b"\n"
    return False
