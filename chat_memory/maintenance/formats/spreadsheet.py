"""Owns the CSV format for spreadsheets, one row per message; it is for people, and cannot be imported."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

import msgspec

from chat_memory.records import Message, Transcript

COLUMNS = (
    "key",
    "user_key",
    "title",
    "seq",
    "id",
    "created_at",
    "role",
    "name",
    "content",
    "tool_calls",
    "tool_call_id",
    "metadata",
    "extra",
)
_SIGNS = "=+-@\uff1d\uff0b\uff0d\uff20"  # the last four: the full-width forms
_FORMULA_STARTS = tuple(f"{_SIGNS}\t\r\n")
_BEHIND_BREAK = re.compile(f'([;\t\r\n]"*)(?=[{re.escape(_SIGNS)}])')
"""The start of a cell for a program that splits at semicolons or tabs, and so does not recognise our quotes."""


def header() -> bytes:
    """The first row."""
    return _rows([COLUMNS])


def write_rows(transcript: Transcript) -> bytes:
    """A row for each message, RFC 4180 in UTF-8; text that looks like a formula gets an apostrophe in front."""
    session = (transcript.key, transcript.user_key, transcript.fields.get("title", ""))
    return _rows([[*session, *_cells(message)] for message in transcript.messages])


def _cells(message: Message) -> tuple[Any, ...]:
    return (
        message.seq,
        message.id,
        message.created_at and message.created_at.isoformat(),
        message.role,
        message.name,
        message.content,
        message.tool_calls,
        message.tool_call_id,
        message.metadata,
        message.extra,
    )


def _rows(rows: Any) -> bytes:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue().encode()


def _cell(value: object) -> object:
    """A cell that no spreadsheet takes for a formula; lists and objects are JSON, None is an empty cell."""
    if value is None or isinstance(value, int):
        return value
    shown = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    shown = _BEHIND_BREAK.sub(r"\1'", shown)
    return f"'{shown}" if shown.startswith(_FORMULA_STARTS) else shown
