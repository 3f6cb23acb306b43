"""Owns how a message looks to people: its text, its tool calls, its pictures; it must not query or answer."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chat_memory import Message

LONGEST_INDENTED = 5_000
"""Longer JSON is shown as it came: indentation multiplies the length of what is nested deeply."""
MOST_CALLS = 50
"""How many tool calls of one message are shown."""
WHO = {"system": "Instructions", "user": "You", "assistant": "Assistant", "tool": "Tool", "function": "Tool"}


@dataclass(frozen=True)
class Call:
    """A tool call, or a tool's result, as it is shown: a title and its text."""

    title: str
    text: str


@dataclass(frozen=True)
class Bubble:
    """One message of the page, as plain text: the template escapes it."""

    seq: int
    role: str
    who: str
    when: datetime | None
    text: str
    calls: tuple[Call, ...]
    pictures: tuple[str, ...]


def bubbles(messages: Sequence[Message]) -> list[Bubble]:
    """What the page shows for a history, in its order."""
    return [_bubble(message) for message in messages]


def text_of(message: Message) -> str:
    """All text of a message, its text parts joined by line breaks; "" where it has none."""
    if isinstance(message.content, str):
        return message.content
    return "\n".join(str(part["text"]) for part in _parts(message) if "text" in part)


def _bubble(message: Message) -> Bubble:
    is_result = message.role in ("tool", "function")
    text = text_of(message)
    calls = (Call(message.name or "result", _indented(text)),) if is_result else tuple(_calls(message))
    return Bubble(
        seq=message.seq or 0,
        role="tool" if is_result else message.role,
        who=WHO.get(message.role, message.role),
        when=message.created_at,
        text="" if is_result else text,
        calls=calls,
        pictures=tuple(_pictures(message)),
    )


def _parts(message: Message) -> list[Mapping[str, Any]]:
    content = message.content if isinstance(message.content, list) else []
    return [part for part in content if isinstance(part, Mapping)]


def _calls(message: Message) -> Iterator[Call]:
    calls = message.tool_calls or []
    for call in calls[:MOST_CALLS]:
        # Providers differ in their form; one that is unknown is shown as it came.
        function = call.get("function")
        if isinstance(function, Mapping):
            yield Call(str(function.get("name", "call")), _indented(function.get("arguments", "")))
        else:
            yield Call("call", _indented(call))
    if len(calls) > MOST_CALLS:
        yield Call("more", f"{len(calls) - MOST_CALLS} more calls")


def _pictures(message: Message) -> Iterator[str]:
    """The addresses of pictures: shown as text, since a chat page must not fetch what a message names."""
    for part in _parts(message):
        image = part.get("image_url")
        if isinstance(image, Mapping) and "url" in image:
            yield str(image["url"])


def _indented(value: Any) -> str:
    """JSON with line breaks; what is long, is no JSON or is nested too deeply for Python stays as it is."""
    try:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        if len(text) > LONGEST_INDENTED:
            return text
        indented = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return str(value)
    # JSON can escape half a character, which a page cannot hold.
    return indented.encode(errors="backslashreplace").decode()
