"""Owns the formats by their names, and the choice of the format of a line."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from chat_memory.fields import SETTABLE_MOMENTS
from chat_memory.maintenance.formats import json_lines, openai, own
from chat_memory.maintenance.formats.clock import Clock
from chat_memory.records import Transcript

AUTO, CHAT_MEMORY, OPENAI = "auto", "chat_memory", "openai"
_MOMENTS = ("created_at", *SETTABLE_MOMENTS)
"""The times of a line of our own format, beside those of its messages, branches, summaries and feedback."""
LINE_WRITERS: Mapping[str, Callable[[Transcript], bytes]] = {CHAT_MEMORY: own.write, OPENAI: openai.write}


def read_line(line: bytes, form: str = AUTO, clock: Clock | None = None) -> Transcript:
    """The conversation of a line; AUTO takes a line with a ``key`` and no ``id`` for our own format.

    The clock gives times without an offset their zone and counts them; without a clock they are in UTC.

    Raises:
        ValidationError: the line has the wrong form; the error names the path. Sizes and values are checked later.
    """
    record = json_lines.parse(line)
    is_own = form == CHAT_MEMORY or (form == AUTO and "key" in record and "id" not in record)
    clock = clock or Clock()
    key = None if is_own else openai.key_of(record)
    clock.set_each(record.get("messages"), "messages")
    if not is_own:
        return openai.read(record, key)
    clock.set(record, _MOMENTS)
    clock.set_branches(record.get("branches"))
    clock.set_each(record.get("summaries"), "summaries")
    clock.set_each(record.get("feedback"), "feedback", ("created_at", "updated_at"))
    return own.read(record)
