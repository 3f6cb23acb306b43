"""Owns how the page presents a message: its text, tool calls and pictures; it must not query or answer."""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from chat_memory import Draft, Message, Sibling

if TYPE_CHECKING:
    from example_project.conversations import Sight

LONGEST_INDENTED = 5_000
"""Longer JSON is shown unchanged, because indentation multiplies the length of deeply nested JSON."""
MOST_CALLS = 50
"""The most tool calls of one message that are shown."""
WHO = {"system": "Instructions", "user": "You", "assistant": "Assistant", "tool": "Tool", "function": "Tool"}
STATES = {"stopped": "Stopped.", "failed": "Broke off.", "abandoned": "Broke off: who wrote it is gone."}


@dataclass(frozen=True)
class Call:
    """A tool call or a tool's result for the page: a title and a text."""

    title: str
    text: str


@dataclass(frozen=True)
class Alternatives:
    """A message's place among its alternatives ("2 of 3"), and the branches of its neighbours; "" for none."""

    position: str
    earlier: str
    later: str


@dataclass(frozen=True)
class Bubble:
    """One message of the page, or one that is being written, as plain text: the template escapes it.

    Attributes:
        note: how the message ended, if it is not complete.
        question: the id of the question that it answers; "" before the first question.
        edit_id: the id for the question when it is asked in other words; "" if it is not a question of plain text.
        offer: for the newest message, what the user can ask for: an "answer" to a question without one, another answer
            ("again"), or nothing ("").
        state: "streaming" while it is being written; ``length`` is the number of characters so far.
    """

    id: str
    role: str
    who: str
    text: str
    seq: int = 0
    turn: int = 0
    when: datetime | None = None
    calls: tuple[Call, ...] = ()
    pictures: tuple[str, ...] = ()
    note: str = ""
    question: str = ""
    edit_id: str = ""
    offer: str = ""
    alternatives: Alternatives | None = None
    state: str = "complete"
    length: int = 0


def bubbles(sight: Sight) -> list[Bubble]:
    """The page's messages and drafts in order; a draft follows its question."""
    growing = [_growing(draft) for draft in sight.drafts]
    replaced = {bubble.id for bubble in growing}
    stored = [
        _bubble(message, sight.siblings.get(message.seq or 0, ()))
        for message in sight.messages
        if message.id not in replaced
    ]
    shown, question = [], ""
    for bubble in sorted([*stored, *growing], key=lambda bubble: bubble.turn):
        question = bubble.id if bubble.role == "user" else question
        shown.append(replace(bubble, question=question))
    if shown and sight.is_newest:
        shown[-1] = replace(shown[-1], offer=_offer(shown[-1]))
    return shown


def text_of(message: Message) -> str:
    """All text of a message, its text parts joined by line breaks; "" where it has none."""
    if isinstance(message.content, str):
        return message.content
    return "\n".join(str(part["text"]) for part in _parts(message) if "text" in part)


def _bubble(message: Message, siblings: Sequence[Sibling]) -> Bubble:
    is_result = message.role in ("tool", "function")
    text = text_of(message)
    calls = (Call(message.name or "result", _indented(text)),) if is_result else tuple(_calls(message))
    return Bubble(
        id=message.id or "",
        role="tool" if is_result else message.role,
        who=WHO.get(message.role, message.role),
        text="" if is_result else text,
        seq=message.seq or 0,
        turn=message.turn or 0,
        when=message.created_at,
        calls=calls,
        pictures=tuple(_pictures(message)),
        state=message.state,
        note=_note(message),
        edit_id=str(uuid.uuid4()) if message.role == "user" and isinstance(message.content, str) else "",
        alternatives=_alternatives(siblings) if siblings else None,
    )


def _growing(draft: Draft) -> Bubble:
    return Bubble(
        id=draft.id,
        role=draft.role,
        who=WHO.get(draft.role, draft.role),
        text=draft.text,
        turn=draft.turn or sys.maxsize,
        when=draft.begun_at,
        state=draft.state,
        length=draft.length,
    )


def _note(message: Message) -> str:
    error = (message.metadata or {}).get("error")
    if message.state == "failed" and isinstance(error, str):
        return error
    return STATES.get(message.state, "")


def _alternatives(siblings: Sequence[Sibling]) -> Alternatives:
    names = ["", *(sibling.branch for sibling in siblings), ""]
    shown = next(sibling for sibling in siblings if sibling.is_current)
    return Alternatives(shown.position, names[shown.number - 1], names[shown.number + 1])


def _offer(newest: Bubble) -> str:
    if not newest.question or newest.state == "streaming":
        return ""
    is_answer = newest.role == "assistant" and newest.state in ("complete", "stopped") and not newest.calls
    return "again" if is_answer else "answer"


def _parts(message: Message) -> list[Mapping[str, Any]]:
    content = message.content if isinstance(message.content, list) else []
    return [part for part in content if isinstance(part, Mapping)]


def _calls(message: Message) -> Iterator[Call]:
    calls = message.tool_calls or []
    for call in calls[:MOST_CALLS]:
        # Providers use different formats; a call in an unknown one is shown unchanged.
        function = call.get("function")
        if isinstance(function, Mapping):
            yield Call(str(function.get("name", "call")), _indented(function.get("arguments", "")))
        else:
            yield Call("call", _indented(call))
    if len(calls) > MOST_CALLS:
        yield Call("more", f"{len(calls) - MOST_CALLS} more calls")


def _pictures(message: Message) -> Iterator[str]:
    """The addresses of pictures; shown as text, because a chat page must not fetch what a message names."""
    for part in _parts(message):
        image = part.get("image_url")
        if isinstance(image, Mapping) and "url" in image:
            yield str(image["url"])


def _indented(value: Any) -> str:
    """Indented JSON; text that is too long, is not JSON or is nested too deeply for Python is not changed."""
    try:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        if len(text) > LONGEST_INDENTED:
            return text
        indented = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return str(value)
    # JSON can contain an escaped lone surrogate, which a page cannot encode.
    return indented.encode(errors="backslashreplace").decode()
