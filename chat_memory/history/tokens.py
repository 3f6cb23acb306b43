"""Owns how many tokens a message counts for; it must not do I/O."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from chat_memory.conf import Settings
from chat_memory.records import Message
from chat_memory.rules.attachments import refs
from chat_memory.rules.inline import without_inline, without_sealed

TokenCounter = Callable[[str], int]

PER_MESSAGE = 4
"""The tokens of a message beside its text, for the role and the separators of chat formats."""
BYTES_PER_TOKEN = 4
INLINE_PART_TOKENS = Settings().inline_part_tokens


def estimate(text: str) -> int:
    """Tokens of a text without a tokenizer: a quarter of its UTF-8 bytes, rounded up."""
    size = len(text) if text.isascii() else len(text.encode())
    return -(-size // BYTES_PER_TOKEN)


def count_tokens(message: Message, counter: TokenCounter = estimate, *, inline_part: int = INLINE_PART_TOKENS) -> int:
    """The tokens of everything in a message that a model sees: content, name, tool calls, and the provider's fields.

    A picture, sound or file, inline or attached, counts ``inline_part`` tokens, however large it is.
    """
    content = message.content
    total = PER_MESSAGE
    if isinstance(content, str):
        total += counter(content)
    elif content is not None:
        total += _of_json(content, counter, inline_part)
        total += inline_part * sum(1 for ref in refs(content) if ref.sha256)
    if message.name:
        total += counter(message.name)
    if message.tool_calls:
        total += _of_sealed(message.tool_calls, counter, inline_part)
    if message.extra:
        further = {name: value for name, value in message.extra.items() if name != "role"}
        total += _of_json(further, counter, inline_part) if further else 0
    return total


def _of_json(value: object, counter: TokenCounter, inline_part: int) -> int:
    """The tokens of a JSON value as text; each inline picture, sound or file in it counts ``inline_part``."""
    text, inline = without_inline(value)
    return _of_sealed(text, counter, inline_part) + inline_part * len(inline)


def _of_sealed(value: object, counter: TokenCounter, inline_part: int) -> int:
    """Tokens of a JSON value as text, what is sealed in it as text too, but never for more than ``inline_part``."""
    longest = BYTES_PER_TOKEN * inline_part
    text = _as_json(value)
    if len(text) <= longest:
        return counter(text)
    rest, number = without_sealed(value, longest)
    return counter(_as_json(rest) if number else text) + inline_part * number


def _as_json(value: object) -> str:
    return msgspec.json.encode(value).decode()
