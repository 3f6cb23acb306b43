"""Owns the messages of a line: their ids, and what OpenAI's have that ours have no field for."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC
from typing import Any

import msgspec

from chat_memory.choices import Role
from chat_memory.exceptions import ValidationError
from chat_memory.records import Message

NAMESPACE = uuid.UUID("b9d0b2f4-6f0c-5c39-9a4e-3d1f6f0f2c57")
"""Of the ids of messages that came without one; another value would import every such message anew."""

_KNOWN = frozenset(Message.__struct_fields__) - {"content_absent"}
_EXPECTED = frozenset({"role", "content"})
_EXTRAS = "openai"
_DEVELOPER = "developer"


def read(items: object, session: uuid.UUID) -> list[Message]:
    """The messages of a list, each with an id: its own, or one made of the session's and its place.

    Raises:
        ValidationError: it is no list of messages; ``field`` is a path such as ``messages[2].role``.
    """
    if not isinstance(items, list):
        raise ValidationError(f"must be a list, not {type(items).__name__}", field="messages")
    messages = _converted(items)
    if messages is None:
        messages = [_one(item, index) for index, item in enumerate(items)]
    return [
        message if message.id is not None else msgspec.structs.replace(message, id=str(uuid.uuid5(session, str(index))))
        for index, message in enumerate(messages)
    ]


def to_own(message: Message) -> dict[str, Any]:
    """A message in our own format: without the token count, which depends on the host's counter."""
    shown = message.to_dict()
    shown.pop("tokens", None)
    return shown


def to_openai(message: Message) -> dict[str, Any]:
    """A message as OpenAI's tools take it, with the keys that an import set aside."""
    shown = message.to_openai()
    extras = (message.metadata or {}).get(_EXTRAS)
    if not isinstance(extras, dict):
        return shown
    if shown.get("content") == "" and extras.get("content", "") is None:
        shown["content"] = None
    if shown["role"] == Role.SYSTEM.value and extras.get("role") == _DEVELOPER:
        shown["role"] = _DEVELOPER
    return shown | {name: value for name, value in extras.items() if name not in _KNOWN}


def _converted(items: list[Any]) -> list[Message] | None:
    """All messages in one step; None where one of them takes more, or is wrong and is to be named."""
    if not all(type(item) is dict and _EXPECTED <= item.keys() <= _KNOWN for item in items):
        return None
    try:
        messages = msgspec.convert(items, list[Message])
    except (msgspec.ValidationError, RecursionError):
        return None
    return None if any(map(_takes_more, messages)) else messages


def _takes_more(message: Message) -> bool:
    moment = message.created_at
    return message.role == _DEVELOPER or (moment is not None and moment.tzinfo is not UTC)


def _one(item: object, index: int) -> Message:
    try:
        return Message.from_dict(_with_extras(item) if isinstance(item, Mapping) else item)  # type: ignore[arg-type]
    except ValidationError as error:
        raise error.under(f"messages[{index}]") from None


def _with_extras(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """A message with the keys we have no field for (refusal, audio, weight) set aside in its metadata.

    OpenAI allows no content beside them: we store "" and note the null, and the way back restores it. The role
    developer, OpenAI's newer name for system, is noted likewise.
    """
    extras = {name: value for name, value in item.items() if name not in _KNOWN and value is not None}
    changes: dict[str, Any] = {}
    if item.get("role") == _DEVELOPER:
        changes["role"], extras["role"] = Role.SYSTEM.value, _DEVELOPER
    metadata = {} if item.get("metadata") is None else item["metadata"]
    if not extras or not isinstance(metadata, dict):
        return item
    if _EXTRAS in metadata:
        raise ValidationError(f"holds {_EXTRAS!r} already, and {min(extras)[:40]!r} would go there", field="metadata")
    if item.get("content") is None and not item.get("tool_calls") and item.get("role") == Role.ASSISTANT.value:
        changes["content"], extras["content"] = "", None
    return {**item, **changes, "metadata": {**metadata, _EXTRAS: extras}}
