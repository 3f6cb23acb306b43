"""Owns which form a line has, and the forms by their names."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from chat_memory.maintenance.formats import json_lines, openai, own
from chat_memory.records import Transcript

AUTO, CHAT_MEMORY, OPENAI = "auto", "chat_memory", "openai"
LINE_WRITERS: Mapping[str, Callable[[Transcript], bytes]] = {CHAT_MEMORY: own.write, OPENAI: openai.write}


def read_line(line: bytes, form: str = AUTO) -> Transcript:
    """The conversation of a line; AUTO takes a line with a ``key`` and no ``id`` for our own format.

    Raises:
        ValidationError: what is wrong, with its path. Sizes and values are for ``rules`` to judge.
    """
    record = json_lines.parse(line)
    is_own = form == CHAT_MEMORY or (form == AUTO and "key" in record and "id" not in record)
    return own.read(record) if is_own else openai.read(record)
