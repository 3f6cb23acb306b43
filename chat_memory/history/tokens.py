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
    return -(-len(text.encode()) // BYTES_PER_TOKEN)


def count_tokens(message: Message, counter: TokenCounter = estimate) -> int:
    """Tokens of everything of a message a model sees: content, name and tool calls."""
    content = message.content
    total = PER_MESSAGE + (counter(content) if isinstance(content, str) else 0)
    if isinstance(content, list):
        total += counter(msgspec.json.encode(content).decode())
    if message.name:
        total += counter(message.name)
    if message.tool_calls:
        total += counter(msgspec.json.encode(message.tool_calls).decode())
    return total
