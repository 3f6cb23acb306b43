"""Owns the decoding of cached messages, which ``storage.mapping.to_json`` encoded; it does no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

import msgspec

from chat_memory.records import Message
from chat_memory.storage.mapping import of_json

_OPENING, _CLOSING = b'{"id":', ord("}")
_seq = attrgetter("seq")


class Damaged(ValueError):
    """Cached bytes are not what this package wrote."""


def decode(entries: Sequence[bytes], last_seq: int) -> list[Message]:
    """The messages encoded in ``entries``; the last one must be at position ``last_seq``.

    Raises:
        Damaged: an element is not a message, or the positions are not consecutive.
    """
    try:
        messages = of_json(entries)
    except (ValueError, RecursionError, msgspec.MsgspecError) as error:  # invalid JSON, message or UTF-8
        raise Damaged(type(error).__name__) from None
    if list(map(_seq, messages)) != list(range(last_seq - len(messages) + 1, last_seq + 1)):
        raise Damaged("the positions are not consecutive")
    return messages


def joined(entries: Sequence[bytes], last_seq: int) -> bytes:
    """The elements joined to one JSON list, without decoding them.

    Only this is checked: the first element's position, the beginning and end of each element, and that all is UTF-8.

    Raises:
        Damaged: a check failed.
    """
    if not entries:
        return b"[]"
    if [entry for entry in entries if entry[:6] != _OPENING or entry[-1] != _CLOSING]:
        raise Damaged("an element is no message")
    if not _is_at(entries[0], last_seq - len(entries) + 1):
        raise Damaged("the positions are not consecutive")
    parts = list(entries)  # the brackets are added to two elements: adding them to the result would copy it
    parts[0] = b"[" + parts[0]
    parts[-1] += b"]"
    return _text(b",".join(parts))


def _text(body: bytes) -> bytes:
    try:
        if not body.isascii():
            body.decode()
    except UnicodeDecodeError:
        raise Damaged("not UTF-8") from None
    return body


def _is_at(entry: bytes, seq: int) -> bool:
    """Whether the message's ``seq`` is this position.

    The first match is the member ``seq``: inside a JSON string, the quotes of ``"seq"`` would be escaped.
    """
    return entry.startswith(b',"seq":%d,' % seq, entry.find(b',"seq":'))
