"""Owns the title that a conversation has until somebody sets one: how its first user began; it must not store it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from chat_memory.choices import Role
from chat_memory.records import Message

LONGEST = 80
_LOOKED_AT = 400
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def title_of(message: Message) -> str:
    """The beginning of what a message says, on one line, cut at a word with "…"; "" where it holds no text."""
    # Every append of a user's asks for this, so only what is rare is searched for.
    text = " ".join(_text(message).lstrip()[:_LOOKED_AT].split())
    if not text.isprintable():
        text = " ".join(_CONTROL.sub(" ", text).split())
    if len(text) <= LONGEST:
        return text
    kept = text[: LONGEST - 1]
    whole_words = kept if text[LONGEST - 1] == " " else kept.rpartition(" ")[0]
    return f"{(whole_words or kept).rstrip()}…"


def first_title(messages: Sequence[Message]) -> str:
    """That of the first message of a user; "" where there is none."""
    said = next((message for message in messages if message.role == Role.USER.value), None)
    return "" if said is None else title_of(said)


def _text(message: Message) -> str:
    """Its content, or the first text among its parts."""
    if isinstance(message.content, str):
        return message.content
    texts = (part.get("text") for part in message.content or () if isinstance(part, dict))
    return next((text for text in texts if isinstance(text, str) and text.strip()), "")
