"""Owns the automatic title of a conversation: the beginning of its first user message, as that message is now."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from chat_memory.choices import State
from chat_memory.records import Message
from chat_memory.rules.calls import starts_turn

LONGEST = 80
"""Characters of an automatic title."""
_LOOKED_AT = 400
_REDACTED = State.REDACTED.value
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def title_of(message: Message) -> str:
    """The beginning of a message's text, on one line, cut after a word with "…"; "" where there is no text."""
    text = _text(message)[: LONGEST + 1]
    # A fast path for most texts, since every append of a user message computes a title.
    if not text.isprintable() or "  " in text or text.strip(" ") != text:
        text = _on_one_line(_text(message))
    if len(text) <= LONGEST:
        return text
    beginning = text[: LONGEST - 1]
    whole_words = beginning if text[LONGEST - 1] == " " else beginning.rpartition(" ")[0]
    return f"{(whole_words or beginning).rstrip()}…"


def first_title(messages: Sequence[Message]) -> str:
    """The title made from the first user message; "" where there is none."""
    for message in messages:
        if starts_turn(message):
            return title_of(message)
    return ""


def remade(title: str, *, made: bool, turn: int, before: Message, after: Message | None) -> str | None:
    """The title after a change or removal of the message it was made from; None if it was not made from that message.

    Args:
        title: the title of the conversation.
        made: whether the title was made from a message.
        turn: the number of the message's turn; titles are made from the message that begins turn 1.
        before: the message before the change.
        after: the message after the change; None: it was removed. A redacted message gives the title "".
    """
    if not made or turn != 1 or not starts_turn(before) or title_of(before) != title:
        return None
    return "" if after is None or after.state == _REDACTED else title_of(after)


def gives(messages: Iterable[Message], title: str) -> bool:
    """Whether one of these messages begins the first turn of its branch, and a title made of it is this one."""
    return any(message.turn == 1 and starts_turn(message) and title_of(message) == title for message in messages)


def _on_one_line(text: str) -> str:
    """The beginning of a text on one line: without control characters, white space collapsed to single spaces."""
    line = " ".join(text.lstrip()[:_LOOKED_AT].split())
    return line if line.isprintable() else " ".join(_CONTROL.sub(" ", line).split())


def _text(message: Message) -> str:
    """The content if it is text, else the first text among its parts."""
    if isinstance(message.content, str):
        return message.content
    texts = (part.get("text") for part in message.content or () if isinstance(part, dict))
    return next((text for text in texts if isinstance(text, str) and text.strip()), "")
