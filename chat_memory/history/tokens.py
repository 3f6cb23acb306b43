"""Owns how many tokens a message counts for; it must not do I/O."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from chat_memory.records import Message

TokenCounter = Callable[[str], int]

PER_MESSAGE = 4
"""What a message costs beside its text: role and separators, as chat formats spend them."""
BYTES_PER_TOKEN = 4


def estimate(text: str) -> int:
    """Tokens of a text without a tokenizer: a quarter of its UTF-8 bytes, rounded up."""
    size = len(text) if text.isascii() else len(text.encode())
    return -(-size // BYTES_PER_TOKEN)


def count_tokens(message: Message, counter: TokenCounter = estimate) -> int:
    """Tokens of everything of a message a model sees: content, name and tool calls."""
    content = message.content
    if isinstance(content, str):
        total = PER_MESSAGE + counter(content)
    else:
        total = PER_MESSAGE + (0 if content is None else counter(_as_json(content)))
    if message.name:
        total += counter(message.name)
    if message.tool_calls:
        total += counter(_as_json(message.tool_calls))
    return total


def _as_json(value: object) -> str:
    return msgspec.json.encode(value).decode()
