"""Owns the rules for numbers, spans, budgets and cache lifetimes in calls."""

from __future__ import annotations

from chat_memory.exceptions import ValidationError
from chat_memory.records import Budget, Span
from chat_memory.rules.json_values import shown
from chat_memory.rules.names import plain

MAX_POSITION = 2**62
LARGEST_PAGE = 1_000
PAGE = 500
"""The default size of a page of changes."""
LONGEST_TTL = 10 * 366 * 24 * 3600
"""Seconds; about ten years."""


def whole_number(number: object, field: str = "n") -> int:
    """Check a number of messages or a position, and return it; a number above MAX_POSITION becomes MAX_POSITION.

    Raises:
        ValidationError: the value is not a whole number, or is negative.
    """
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise ValidationError(f"must be a whole number from 0, not {shown(number)}", field=field)
    return min(number, MAX_POSITION)


def page_of_changes(size: object) -> int:
    """Check the size of a page of changes, and return it.

    Raises:
        ValidationError: it is not a whole number from 1 to LARGEST_PAGE.
    """
    if not 1 <= whole_number(size, "size") <= LARGEST_PAGE:
        raise ValidationError(f"must be a whole number from 1 to {LARGEST_PAGE}, not {shown(size)}", field="size")
    return whole_number(size, "size")


def optional_number(number: object, field: str) -> int | None:
    """As ``whole_number``, for a number that may be None.

    Raises:
        ValidationError: the value is neither None nor a whole number from 0.
    """
    return None if number is None else whole_number(number, field)


def message_place(place: object, field: str = "seq") -> int | str:
    """Check a reference to a message: a position, or an id as text.

    Raises:
        ValidationError: the value is neither.
    """
    return str(plain(place)) if isinstance(place, str) else whole_number(place, field)


def check_cache_ttl(ttl: object, field: str = "cache_ttl") -> None:
    """Check the seconds that a conversation may be cached: from 0 to LONGEST_TTL, or None.

    Raises:
        ValidationError: the value is neither.
    """
    if ttl is None:
        return
    if isinstance(ttl, bool) or not isinstance(ttl, (int, float)) or not 0 <= ttl <= LONGEST_TTL:
        raise ValidationError(f"must be None or seconds from 0 to {LONGEST_TTL}, not {shown(ttl)}", field=field)


def check_span(span: Span) -> None:
    """Check a span: its bounds and ``min_version`` are whole numbers from 0, and only one of first and last is set.

    Raises:
        ValidationError: a bound is of another type or negative, or both ``first`` and ``last`` are set.
    """
    if not isinstance(span, Span):
        raise ValidationError(f"must be a Span, not {type(span).__name__}", field="span")
    for field in ("after", "before", "first", "last", "most"):
        bound = getattr(span, field)
        if bound is not None:
            whole_number(bound, field)
    whole_number(span.min_version, "min_version")
    if span.first is not None and span.last is not None:
        raise ValidationError(f"takes first or last, not both ({span.first} and {span.last})", field="span")


def budget(
    turns: int | None,
    messages: int | None,
    tokens: int | None,
    *,
    system: bool,
    min_version: int,
    greeting: bool = False,
) -> Budget | None:
    """The budget of a window; None if its size is 0, since the window is empty then.

    Raises:
        ValidationError: not exactly one size is given, or a value has the wrong type or is negative.
    """
    sizes = {"turns": turns, "messages": messages, "tokens": tokens}
    budgets = {field: whole_number(size, field) for field, size in sizes.items() if size is not None}
    if len(budgets) != 1:
        got = " and ".join(budgets) or "none"
        raise ValidationError(f"takes exactly one of turns, messages, tokens; got {got}", field="window")
    check_flag(system, "system")
    check_flag(greeting, "greeting")
    least = whole_number(min_version, "min_version")
    return Budget(**budgets, system=system, min_version=least, greeting=greeting) if any(budgets.values()) else None


def check_flag(value: object, field: str) -> None:
    """Check that a value is True or False.

    Raises:
        ValidationError: it is something else.
    """
    if not isinstance(value, bool):
        raise ValidationError(f"must be true or false, not {shown(value)}", field=field)
