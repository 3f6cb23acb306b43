"""Owns when a streamed message is flushed, and which stored message a stream may continue; pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chat_memory.choices import PARTIAL, Role
from chat_memory.exceptions import TooLarge, ValidationError
from chat_memory.records import Message
from chat_memory.rules.json_values import shown, unstorable

MOST_SECONDS = 60.0
LARGEST_TEXT = 2**30
"""Characters; no text has more, so larger values of a reader are cut to this."""
LEAST_GAP = 0.125
"""The least seconds between two flushes: eight a second, so with begin and end at most ten writes."""


class Pace:
    """When the next flush is due: some seconds or some bytes after the last one.

    Args:
        seconds: the seconds after which pending text is due.
        size: the bytes of pending text at which it is due sooner.
        clock: returns seconds that never go back, such as ``time.monotonic``.
    """

    def __init__(self, seconds: float, size: int, clock: Callable[[], float]) -> None:
        self._seconds, self._size, self._clock = seconds, size, clock
        self._last = clock()
        self._waiting = 0

    def add(self, size: int) -> bool:
        """Count pending bytes; whether a flush is due."""
        self._waiting += size
        gap = self._clock() - self._last
        if self._waiting == 0 or gap < LEAST_GAP:
            return False
        return gap >= self._seconds or self._waiting >= self._size

    def flushed(self) -> None:
        """Record that all pending text was written."""
        self._last, self._waiting = self._clock(), 0


def chunk_size(chunk: object, written: int, most: int) -> int:
    """The bytes of a chunk of text.

    Args:
        chunk: the text to write.
        written: the bytes written before.
        most: the most bytes in all.

    Raises:
        ValidationError: it is not text, or cannot be stored.
        TooLarge: with the text written before it has more than ``most`` bytes.
    """
    if not isinstance(chunk, str):
        raise ValidationError(f"must be text, not {type(chunk).__name__}", field="chunk")
    if unstorable(chunk):
        raise ValidationError("must not contain NUL or lone surrogates", field="chunk")
    size = len(chunk) if chunk.isascii() else len(chunk.encode())
    if written + size > most:
        raise TooLarge(f"{written + size} bytes, over MAX_CONTENT_BYTES ({most})", field="content")
    return size


def flush_seconds(seconds: object) -> float:
    """Check the seconds between two flushes.

    Raises:
        ValidationError: it is not a number, or out of range.
    """
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not is_number or not LEAST_GAP <= float(seconds) <= MOST_SECONDS:  # type: ignore[arg-type]
        text = f"must be seconds from {LEAST_GAP} to {MOST_SECONDS:g}, not {shown(seconds)}"
        raise ValidationError(text, field="flush_seconds")
    return float(seconds)  # type: ignore[arg-type]


def flush_bytes(size: object) -> int:
    """Check the number of bytes at which a flush is due.

    Raises:
        ValidationError: it is not a whole number from 1.
    """
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise ValidationError(f"must be a whole number from 1, not {shown(size)}", field="flush_bytes")
    return size


def said_at_end(usage: object, metadata: object, extra: object) -> dict[str, Any]:
    """The metadata to store at the end of a stream, with the provider's usage.

    Raises:
        ValidationError: an argument is given and is not an object.
    """
    for field, value in (("usage", usage), ("metadata", metadata), ("extra", extra)):
        if value is not None and not isinstance(value, dict):
            raise ValidationError(f"must be an object, not {type(value).__name__}", field=field)
    given = metadata if isinstance(metadata, dict) else {}
    return given if usage is None else given | {"usage": usage}


def check_role(role: object) -> None:
    """Check the role of a draft; a tool's result belongs to a call and cannot be streamed.

    Raises:
        ValidationError: it is none of assistant, user and system.
    """
    roles = (Role.ASSISTANT.value, Role.USER.value, Role.SYSTEM.value)
    if role not in roles:
        raise ValidationError(f"must be one of {', '.join(roles)}, not {shown(role)}", field="role")


def check_partial(stored: Message, newest: int, *, goes_on: bool) -> None:
    """Check that a stream may continue or replace a stored message.

    Raises:
        ValidationError: it is not the newest of its branch, is not partial, or has no text to continue.
    """
    field = "resume" if goes_on else "replace"
    if stored.state not in PARTIAL:
        text = f"must be a message that is {', '.join(sorted(PARTIAL))}, and this one is {stored.state}"
        raise ValidationError(text, field=field)
    if stored.seq != newest:
        raise ValidationError(
            f"must be the newest message, and this one is followed by {newest - (stored.seq or 0)}", field=field
        )
    if goes_on and not isinstance(stored.content, str | None):
        raise ValidationError("must be a message whose content is text", field=field)
