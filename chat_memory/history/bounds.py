"""Owns which numbers, spans and budgets a read may be given, as pure checks; it must not read."""

from __future__ import annotations

from chat_memory.exceptions import ValidationError
from chat_memory.records import Budget, Span

MAX_POSITION = 2**62


def whole(number: object, field: str = "n") -> int:
    """A number of messages, or a position.

    Raises:
        ValidationError: not a whole number, or negative (FEATURES J14).
    """
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise ValidationError("must be a whole number from 0", field=field)
    return min(number, MAX_POSITION)


def check_span(span: Span) -> None:
    """A span has bounds that are whole numbers, and counts from one end.

    Raises:
        ValidationError: it does not, or ``min_version`` is no version.
    """
    if not isinstance(span, Span):
        raise ValidationError(f"must be a Span, not {type(span).__name__}", field="span")
    for field in ("after", "before", "first", "last"):
        if getattr(span, field) is not None:
            whole(getattr(span, field), field)
    whole(span.min_version, "min_version")
    if span.first is not None and span.last is not None:
        raise ValidationError("first and last exclude each other", field="span")


def budget(
    turns: int | None, messages: int | None, tokens: int | None, *, system: bool, min_version: int
) -> Budget | None:
    """What a window may take; None where that is nothing, since it was given a 0.

    Raises:
        ValidationError: not exactly one is given, or a number is no whole one from 0 (FEATURES N35, J14).
    """
    sizes = {"turns": turns, "messages": messages, "tokens": tokens}
    given = {field: whole(size, field) for field, size in sizes.items() if size is not None}
    if len(given) != 1:
        raise ValidationError("takes exactly one of turns, messages, tokens", field="window")
    if not isinstance(system, bool):
        raise ValidationError("must be true or false", field="system")
    least = whole(min_version, "min_version")
    return Budget(**given, system=system, min_version=least) if any(given.values()) else None
