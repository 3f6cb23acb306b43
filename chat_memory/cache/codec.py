"""Owns how cached bytes become messages again; ``storage.mapping.to_json`` wrote them. It does no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

import msgspec

from chat_memory.records import Message
from chat_memory.storage.mapping import of_json

_OPENING, _CLOSING = b'{"id":', ord("}")
_seq = attrgetter("seq")


class Damaged(ValueError):
    """Cached bytes are not what this code wrote."""


def decode(entries: Sequence[bytes], last_seq: int) -> list[Message]:
    """The messages of cached entries, the last of which is at ``last_seq``.

    Raises:
        Damaged: one of them is no message, or one is missing.
    """
    try:
        messages = of_json(entries)
    except (ValueError, RecursionError, msgspec.MsgspecError) as error:  # of JSON, of a message, or of UTF-8
        raise Damaged(type(error).__name__) from None
    if list(map(_seq, messages)) != list(range(last_seq - len(messages) + 1, last_seq + 1)):
        raise Damaged("a gap")
    return messages


def joined(entries: Sequence[bytes], last_seq: int) -> bytes:
    """The entries as one JSON list; only the position of the first and the ends of the others are looked at.

    Raises:
        Damaged: what was looked at is not what this code wrote, or it is no UTF-8.
    """
    if not entries:
        return b"[]"
    if [entry for entry in entries if entry[:6] != _OPENING or entry[-1] != _CLOSING]:
        raise Damaged("no message")
    if not _is_at(entries[0], last_seq - len(entries) + 1):
        raise Damaged("a gap")
    parts = list(entries)  # the brackets go to the ends of the list, since each copy of the whole costs
    parts[0] = b"[" + parts[0]
    parts[-1] += b"]"
    return _text(b",".join(parts))


def _text(body: bytes) -> bytes:
    try:
        if not body.isascii():
            body.decode()
    except UnicodeDecodeError:
        raise Damaged("no text") from None
    return body


def _is_at(entry: bytes, seq: int) -> bool:
    """Whether an entry names this position: quotes within a text have backslashes, so the first match is the member."""
    return entry.startswith(b',"seq":%d,' % seq, entry.find(b',"seq":'))
