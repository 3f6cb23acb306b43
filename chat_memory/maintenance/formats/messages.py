"""Owns the messages of a line: the reading of their keys, ids for those that have none, and the writing."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from chat_memory.choices import DEVELOPER
from chat_memory.exceptions import ValidationError
from chat_memory.maintenance.formats.values import moment, text_id
from chat_memory.records import MESSAGE_KEYS, Message

NAMESPACE = uuid.UUID("b9d0b2f4-6f0c-5c39-9a4e-3d1f6f0f2c57")
"""The namespace of ids made for messages without one; a change would make imports store such messages again."""

_EXPECTED = frozenset({"role", "content"})
_OWN_KEYS = frozenset({"id", "seq", "turn", "created_at", "metadata", "tokens", "state"})
"""The keys that OpenAI's format does not have."""
_IDS = ("id", "tool_call_id")


def read(items: object, session: uuid.UUID) -> list[Message]:
    """The messages of a list, each with its own id, or one derived from the session's id and its index.

    Ids may be whole numbers, and times Unix seconds. Unknown keys go into ``extra``.

    Raises:
        ValidationError: it is not a list of messages; ``field`` is a path such as ``messages[2].role``.
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
    """A message in OpenAI's format with nothing adapted, so that an import of the export derives the same ids."""
    return {name: value for name, value in message.to_dict().items() if name not in _OWN_KEYS}


def _converted(items: list[Any]) -> list[Message] | None:
    """All messages in one fast step; None if one of them needs more, or is invalid and must be named."""
    if not all(type(item) is dict and _EXPECTED <= item.keys() <= MESSAGE_KEYS for item in items):
        return None
    try:
        messages = msgspec.convert(items, list[Message])
    except (msgspec.ValidationError, RecursionError):
        return None
    return None if any(map(_takes_more, messages)) else messages


def _takes_more(message: Message) -> bool:
    when = message.created_at
    return (
        message.role == DEVELOPER
        or message.content_absent
        or (when is not None and when.tzinfo is not UTC)
        or any(isinstance(call, dict) and type(call.get("id", "")) is not str for call in message.tool_calls or ())
    )


def _one(item: object, index: int) -> Message:
    try:
        return Message.from_dict(_normal(item) if isinstance(item, Mapping) else item)  # type: ignore[arg-type]
    except ValidationError as error:
        raise error.under(f"messages[{index}]") from None


def _normal(item: Mapping[str, Any]) -> dict[str, Any]:
    """A message with its ids, those of its tool calls too, as text, and its time as a time."""
    ids = {name: text_id(item[name], name) for name in _IDS if name in item}
    calls = item.get("tool_calls")
    if isinstance(calls, list):
        ids["tool_calls"] = [_with_text_id(call, f"tool_calls[{index}].id") for index, call in enumerate(calls)]
    times: dict[str, datetime | Any] = {"created_at": moment(item["created_at"])} if "created_at" in item else {}
    return {**item, **ids, **times}


def _with_text_id(call: Any, field: str) -> Any:
    return {**call, "id": text_id(call["id"], field)} if isinstance(call, dict) and "id" in call else call
