"""Owns how many marks for a provider's cache are shown: Anthropic and Bedrock refuse more than four in a request; pure.

An agent that marks the end of each request stores many of them. The first is shown, which mostly stands behind what
opens the conversation, and the newest three.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from chat_memory.records import Message
from chat_memory.rules.calls import is_mark

MOST = 4
_MARK = "cache_control"
"""The key of a mark on a part, in Anthropic's form; Bedrock's is a part of its own."""


def with_few_marks(messages: Sequence[Message]) -> list[Message]:
    """The messages with as many marks as a provider takes."""
    marked = [place for place, message in enumerate(messages) for _mark in _marks(message.content)]
    if len(marked) <= MOST:
        return list(messages)
    shown, extra = list(messages), marked[1 : 1 - MOST]
    for place in set(extra):
        first = 1 if place == marked[0] else 0
        content = _without(messages[place].content, first, first + extra.count(place))
        shown[place] = msgspec.structs.replace(messages[place], content=content)
    return shown


def _marks(content: Any) -> Iterator[bool]:
    """Each mark of a content, those within the content of a part too, such as a tool's result."""
    for part in content if isinstance(content, list) else ():
        if isinstance(part, dict):
            yield from _marks(part.get("content"))
            if _is_marked(part):
                yield True


def _is_marked(part: dict[str, Any]) -> bool:
    return bool(part.get(_MARK)) or is_mark(part)


def _without(content: Any, start: int, stop: int) -> list[Any]:
    """A content without its marks from one number on up to another, counted as ``_marks`` does."""
    shown: list[Any] = []
    number = 0
    for part in content:
        marks = sum(_marks([part]))
        touched = marks and number < stop and number + marks > start
        left = _unmarked(part, start - number, stop - number) if touched else part
        number += marks
        shown += [left] if left else []
    return shown


def _unmarked(part: dict[str, Any], start: int, stop: int) -> dict[str, Any]:
    within = sum(_marks(part.get("content")))
    own = {**part, "content": _without(part["content"], start, stop)} if within else part
    if not start <= within < stop:
        return own
    return {name: value for name, value in own.items() if name not in (_MARK, "cachePoint")}
