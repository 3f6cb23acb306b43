"""Owns the bounds that an operator sets for a run: the batch size, and the time after which no batch begins."""

from __future__ import annotations

import time

from chat_memory.exceptions import ValidationError


def deadline(batch_size: int, most: int, max_seconds: float | None) -> float:
    """The reading of ``time.monotonic`` after which a run begins no batch; infinity where there is no such bound.

    Raises:
        ValidationError: ``batch_size`` is not from 1 to ``most``, or ``max_seconds`` is not more than 0.
    """
    if not 1 <= batch_size <= most:
        raise ValidationError(f"must be from 1 to {most}, not {batch_size}", field="batch_size")
    if max_seconds is not None and not max_seconds > 0:
        raise ValidationError(f"must be more than 0, not {max_seconds}", field="max_seconds")
    return float("inf") if max_seconds is None else time.monotonic() + max_seconds
