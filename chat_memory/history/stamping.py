"""Owns what a message gets before it is stored: the check, an id, a time, a token count; it must not store it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
from django.core.exceptions import ImproperlyConfigured

from chat_memory import wiring
from chat_memory.conf import live
from chat_memory.history.tokens import TokenCounter, count_tokens, estimate
from chat_memory.history.validation import MAX_TOKENS, Limits, check_batch, check_message, plain
from chat_memory.records import Content, Message, as_utc, uuid7


def stamped(messages: Sequence[Message]) -> list[Message]:
    """The messages validated and complete: with an id made before the first attempt, a time and a token count."""
    check_batch(messages, limits())
    now = datetime.now(UTC)
    counter = wiring.token_counter(estimate)
    return [
        msgspec.structs.replace(
            message,
            role=plain(message.role),
            content=_plain(message.content),
            name=plain(message.name),
            tool_call_id=plain(message.tool_call_id),
            id=plain(message.id) or str(uuid7()),
            created_at=as_utc(message.created_at) or now,
            tokens=_tokens(message, counter) if message.tokens is None else message.tokens,
        )
        for message in messages
    ]


def restated(message: Message, content: Content) -> Message:
    """A stored message with other content, validated, its tokens counted anew.

    Raises:
        ValidationError: a message in this role cannot have this content.
    """
    said = msgspec.structs.replace(message, content=_plain(content), content_absent=False, tokens=None)
    check_message(said, limits())
    return msgspec.structs.replace(said, tokens=counted(said))


def counted(message: Message) -> int:
    """How many tokens a message counts for, by the host's TOKEN_COUNTER or the estimate."""
    return _tokens(message, wiring.token_counter(estimate))


def _plain(content: Content) -> Content:
    return plain(content) if isinstance(content, str) else content


def _tokens(message: Message, counter: TokenCounter) -> int:
    """What the host's TOKEN_COUNTER says of a message.

    Raises:
        ImproperlyConfigured: it says something else than a number from 0.
    """
    number = count_tokens(message, counter)
    if type(number) is not int or not 0 <= number < MAX_TOKENS:
        raise ImproperlyConfigured(f"CHAT_MEMORY's TOKEN_COUNTER gave no number from 0 to {MAX_TOKENS}.")
    return number


def limits() -> Limits:
    """The size limits as the settings give them now, for whoever checks before it writes."""
    now = live.now()
    return Limits(now.max_content_bytes, now.max_metadata_bytes, now.max_metadata_depth, now.max_batch)
