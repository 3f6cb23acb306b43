"""Owns the messages of a line: which keys hold what, the ids of those that have none, and the way back."""

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
"""Of the ids of messages that came without one; another value would import every such message anew."""

_EXPECTED = frozenset({"role", "content"})
_OWN_KEYS = frozenset({"id", "seq", "turn", "created_at", "metadata", "tokens", "state"})
"""The keys that OpenAI's format has not."""
_IDS = ("id", "tool_call_id")


def read(items: object, session: uuid.UUID) -> list[Message]:
    """The messages of a list, each with an id: its own, or one made of the session's and its place.

    Ids may be whole numbers, and times Unix seconds. A key that no field has goes into ``extra``.

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
    """A message as OpenAI's tools write it, nothing made to fit, so that a second import finds what the first found."""
    return {name: value for name, value in message.to_dict().items() if name not in _OWN_KEYS}


def _converted(items: list[Any]) -> list[Message] | None:
    """All messages in one step; None where one of them takes more, or is wrong and is to be named."""
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
