"""Owns what a message gets before it is stored: the check, an id, a time, a token count; it must not store it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
from django.core.exceptions import ImproperlyConfigured

from chat_memory import wiring
from chat_memory.conf import live
from chat_memory.history.tokens import TokenCounter, count_tokens, estimate
from chat_memory.history.validation import MAX_TOKENS, Limits, check_batch, plain
from chat_memory.records import Message, as_utc, uuid7


def stamped(messages: Sequence[Message]) -> list[Message]:
    """The messages validated and complete: with an id made before the first attempt, a time and a token count."""
    check_batch(messages, limits())
    now = datetime.now(UTC)
    counter = wiring.token_counter(estimate)
    return [
        msgspec.structs.replace(
            message,
            role=plain(message.role),
            content=plain(message.content) if isinstance(message.content, str) else message.content,
            name=plain(message.name),
            tool_call_id=plain(message.tool_call_id),
            id=plain(message.id) or str(uuid7()),
            created_at=as_utc(message.created_at) or now,
            tokens=_tokens(message, counter) if message.tokens is None else message.tokens,
        )
        for message in messages
    ]


def _tokens(message: Message, counter: TokenCounter) -> int:
    """What the host's TOKEN_COUNTER says of a message.

    Raises:
        ImproperlyConfigured: it says something else than a number from 0.
    """
    counted = count_tokens(message, counter)
    if type(counted) is not int or not 0 <= counted < MAX_TOKENS:
        raise ImproperlyConfigured(f"CHAT_MEMORY's TOKEN_COUNTER gave no number from 0 to {MAX_TOKENS}.")
    return counted


def limits() -> Limits:
    """The size limits as the settings give them now, for whoever checks before it writes."""
    now = live.now()
    return Limits(now.max_content_bytes, now.max_metadata_bytes, now.max_metadata_depth, now.max_batch)
