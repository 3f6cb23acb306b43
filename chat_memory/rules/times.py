"""Owns the rules for times."""

from __future__ import annotations

from datetime import UTC, datetime

from chat_memory.exceptions import ValidationError
from chat_memory.records import as_utc, check_aware

EARLIEST, LATEST = datetime(1, 1, 3, tzinfo=UTC), datetime(9999, 12, 29, tzinfo=UTC)
"""Times between these can be converted to any time zone without an overflow."""


def check_time(moment: object, field: str) -> None:
    """Check a time: it has a time zone, and lies between EARLIEST and LATEST.

    Raises:
        ValidationError: the value is not a datetime, is too early or too late, or is naive.
    """
    if not isinstance(moment, datetime):
        raise ValidationError(f"must be a datetime, not {type(moment).__name__}", field=field)
    try:
        within = EARLIEST <= (as_utc(moment) or EARLIEST) <= LATEST
    except OverflowError:
        within = False
    if not within:
        bounds = f"{EARLIEST.date()} and {LATEST.date()}"
        raise ValidationError(f"must lie between {bounds}, not {moment.isoformat()}", field=field)
    check_aware(moment, field)
