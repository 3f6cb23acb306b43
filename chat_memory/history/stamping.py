"""Owns what happens to a message before it is stored: validation, and an id, a time and a token count."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from chat_memory import host_callables
from chat_memory.choices import DEVELOPER
from chat_memory.conf import Settings, live
from chat_memory.exceptions import ValidationError
from chat_memory.history.tokens import TokenCounter, count_tokens, estimate
from chat_memory.log_limit import LogLimit
from chat_memory.records import Message, as_utc, uuid7_texts
from chat_memory.rules.calls import starts_turn
from chat_memory.rules.limits import limits
from chat_memory.rules.message import MAX_TOKENS, check_batch, check_message
from chat_memory.rules.names import plain
from chat_memory.rules.redaction import redacted

logger = logging.getLogger("chat_memory.history")


def stamped(messages: Sequence[Message], *, checked: bool = True) -> list[Message]:
    """The messages, validated and completed by a time, a token count and an id, which retries of the write repeat.

    Args:
        messages: the messages.
        checked: False for text that is stored already in another form: a limit that was lowered must not lose it.
    """
    settings = live.now()
    if checked:
        check_batch(messages, limits(settings))
    now = datetime.now(UTC)
    counter = host_callables.token_counter() if settings.token_counter else None
    nameless = [message.id for message in messages].count(None)
    made = iter(uuid7_texts(nameless) if nameless else ())
    return [
        Message(
            role if type(role := message.role) is str else plain(role),
            content if type(content := message.content) is str else _plain(content),
            None if message.name is None else _plain(message.name),
            message.metadata,
            next(made) if message.id is None else _plain(message.id),
            message.tool_calls,
            None if message.tool_call_id is None else _plain(message.tool_call_id),
            message.seq,
            now if message.created_at is None else as_utc(message.created_at),
            _tokens(message, counter, settings) if message.tokens is None else message.tokens,
            message.content_absent,
            state if type(state := message.state) is str else plain(state),
            message.extra or None,
        )
        for message in messages
    ]


def restated(message: Message, **given: Any) -> Message:
    """A stored message with other content, metadata or extra, validated.

    For new content, tokens are counted again; for new further fields too, unless a caller gave the number.

    Raises:
        ValidationError: a message in this role cannot have the new value, or a question would become tool results or
            the reverse: turns are counted when messages are stored, so this cannot change later.
    """
    if "extra" in given:
        given["extra"] = _further(message, given["extra"])
    if "content" in given:
        given |= {"content": _plain(given["content"]), "content_absent": False, "tokens": None}
    changed = msgspec.structs.replace(message, **given)
    check_message(changed, limits())
    if starts_turn(changed) != starts_turn(message):
        raise ValidationError("cannot turn a question into tool results, or the reverse", field="content")
    recount = "content" in given or (changed.extra != message.extra and counted(message) == message.tokens)
    return msgspec.structs.replace(changed, tokens=counted(changed)) if recount else changed


def without_words(message: Message) -> Message:
    """A stored message as a redaction leaves it, with its tokens counted again."""
    left = redacted(message)
    return msgspec.structs.replace(left, tokens=counted(left))


def counted(message: Message) -> int:
    """How many tokens a message counts for, by the host's TOKEN_COUNTER or the estimate."""
    return _tokens(message, host_callables.token_counter(), live.now())


def _further(message: Message, extra: Any) -> Any:
    """The ``extra`` of a message after an edit; a stored role ``developer`` in it stays, whatever is given."""
    if extra is not None and not isinstance(extra, dict):
        return extra  # check_message refuses it
    own = message.extra or {}
    role = {"role": DEVELOPER} if own.get("role") == DEVELOPER else {}
    if extra is None:
        return role or None
    merged = own | extra | role
    return {name: value for name, value in merged.items() if value is not None or name not in extra} or None


def _plain(value: Any) -> Any:
    """The value; text of a subclass of ``str`` becomes a plain ``str``."""
    return plain(value) if isinstance(value, str) and type(value) is not str else value


def _tokens(message: Message, counter: TokenCounter | None, settings: Settings) -> int:
    """The tokens of a message by the host's TOKEN_COUNTER; the estimate if there is none or if it fails."""
    if counter is not None:
        try:
            number = count_tokens(message, counter, inline_part=settings.inline_part_tokens)
        except Exception as error:  # noqa: BLE001  # whatever a host's function does, the message is stored
            trouble = type(error).__name__
        else:
            if type(number) is int and 0 <= number < MAX_TOKENS:
                return number
            trouble = "it gave no number" if type(number) is not int else "it gave a number out of range"
        if _log_limit.allows("TOKEN_COUNTER"):
            logger.warning("CHAT_MEMORY's TOKEN_COUNTER failed (%s); the estimate is used", trouble)
    return min(count_tokens(message, estimate, inline_part=settings.inline_part_tokens), MAX_TOKENS - 1)


_log_limit = LogLimit()
