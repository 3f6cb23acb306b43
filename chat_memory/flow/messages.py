"""Owns what a history accepts as a message: ``Message``, or an object of another class with the same fields."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from chat_memory.exceptions import ValidationError
from chat_memory.records import Message


def as_message(given: Any) -> Message:
    """A message to be stored; from an object of another class, with its role, content, name and metadata.

    Raises:
        ValidationError: it has no role and content.
    """
    if isinstance(given, Message):
        # The position belongs to the conversation that the message was read from, so it is removed.
        return given if given.seq is None else msgspec.structs.replace(given, seq=None)
    try:
        role, content = given.role, given.content
    except AttributeError:
        raise ValidationError(f"must be a Message, not {type(given).__name__}", field="message") from None
    return Message(role, content, getattr(given, "name", None), getattr(given, "metadata", None))


def as_messages(given: Iterable[Any]) -> list[Message]:
    """Messages to be stored, in their order.

    Raises:
        ValidationError: one of them is not a message, or ``given`` is not a list.
    """
    if isinstance(given, Message | str) or not isinstance(given, Iterable):
        raise ValidationError(f"must be a list of messages, not {type(given).__name__}", field="messages")
    return [as_message(message) for message in given]


def spoken(given: Any, role: str) -> Message:
    """A message, or a text as the message of a role.

    Raises:
        ValidationError: it is neither.
    """
    return Message(role, str(given)) if isinstance(given, str) else as_message(given)
