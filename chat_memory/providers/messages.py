"""Owns this dialect's message and its lossless conversion to the core's message and back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from chat_memory.exceptions import ValidationError
from chat_memory.integrations import jaf
from chat_memory.records import Message as CoreMessage, as_utc, uuid7
from chat_memory.rules.times import check_time

_ATTACHMENTS = "attachments"
_KNOWN = frozenset({"id", "seq", "turn", "created_at", "role", "content", "tool_calls", "tool_call_id", "tokens"})
"""The keys of the core's ``to_dict`` that have a field here, or are computed again."""


class Home(NamedTuple):
    """Where a message that an engine was given is stored; ``seq`` is None for a summary."""

    session_id: UUID
    seq: int | None


@dataclass(frozen=True)
class Message(jaf.MessageBase):
    """A message; if jaf is installed, also an instance of jaf's class.

    Attributes:
        role: system, user, assistant or tool.
        content: text, or a list of parts.
        attachments: images, documents and files that come with it.
        tool_call_id: the id of the call that a tool's message answers.
        tool_calls: the calls of an assistant's message.
        message_id: unique in the conversation; generated if none is given.
        created_at: when it was stored, as aware UTC; a naive time is taken as local time.
        extra: the other stored fields: name, metadata, and further fields of a model's provider.
        seq: its position in the conversation, from 1; None before it is stored.
        home: where it is stored; only set on messages that were read through ``MemoryConfig``.
    """

    role: Any
    content: Any
    attachments: list[Any] | None = None
    tool_call_id: str | None = None
    tool_calls: list[Any] | None = None
    message_id: Any = None
    created_at: Any = field(default=None, compare=False)
    extra: dict[str, Any] | None = field(default=None, compare=False)
    seq: int | None = field(default=None, compare=False)
    home: Home | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.message_id is None:
            object.__setattr__(self, "message_id", str(uuid7()))
        if self.created_at is not None and getattr(self.created_at, "tzinfo", None) is not UTC:
            object.__setattr__(self, "created_at", moment(self.created_at, "created_at"))

    def dict(self) -> dict[str, Any]:
        """The message as JSON values; ``Message(**message.dict())`` makes an equal message."""
        fields = {name: getattr(self, name) for name in _OF_A_DICT}
        shown: dict[str, Any] = plain_json(fields, "message")
        return shown if self.extra else {name: value for name, value in shown.items() if name != "extra"}


_OF_A_DICT = ("role", "content", _ATTACHMENTS, "tool_call_id", "tool_calls", "message_id", "created_at", "extra")


def plain_json(value: Any, name: str) -> Any:
    """A value as plain JSON: times as text, and objects with fields as mappings.

    Raises:
        ValidationError: a value cannot be written as JSON; the error names ``name``.
    """
    try:
        return msgspec.to_builtins(value, enc_hook=_fields_of)
    except (TypeError, ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, TypeError) else "cannot be written as JSON"
        raise ValidationError(reason, field=name) from None


def _fields_of(value: Any) -> Any:
    dump = getattr(value, "model_dump", None)
    if callable(dump):
        return dump()
    raise TypeError(f"cannot hold a {type(value).__name__}")


def moment(given: Any, name: str) -> datetime:
    """A time as aware UTC, from a datetime or text in ISO form; a naive time is taken as local time.

    Raises:
        ValidationError: it is not a time, or out of range.
    """
    try:
        when = datetime.fromisoformat(given) if isinstance(given, str) else given
        when = when.astimezone() if isinstance(when, datetime) and when.tzinfo is None else when
    except (ValueError, OverflowError, OSError):
        raise ValidationError("is not a time that can be stored", field=name) from None
    check_time(when, name)
    utc = as_utc(when)
    assert utc is not None  # noqa: S101  # it was a time
    return utc


def as_core(given: Iterable[Any]) -> list[CoreMessage]:
    """Messages to be stored, of this class or of jaf's.

    Raises:
        ValidationError: ``given`` is not a list, or one of them is not a message; the error names it.
    """
    if isinstance(given, str | dict) or not isinstance(given, Iterable):
        raise ValidationError(f"must be a list of messages, not {type(given).__name__}", field="messages")
    return [_as_core(message, f"messages[{index}]") for index, message in enumerate(given)]


def _as_core(given: Any, name: str) -> CoreMessage:
    try:
        role, content, message_id = given.role, given.content, given.message_id
    except AttributeError:
        raise ValidationError(f"must be a Message, not {type(given).__name__}", field=name) from None
    calls = _listed(given.tool_calls, f"{name}.tool_calls")
    if not isinstance(content, str | None):
        content = _listed(content, f"{name}.content")
    attached = _listed(given.attachments, f"{name}.{_ATTACHMENTS}")
    when, further = getattr(given, "created_at", None), getattr(given, "extra", None) or {}
    extra = {_ATTACHMENTS: attached} if attached else {}
    message = CoreMessage(
        role.value if isinstance(role, Enum) else role,
        content,
        id=None if message_id is None else str(message_id),
        tool_calls=calls,
        tool_call_id=given.tool_call_id,
        created_at=when,
        extra=extra or None,
    )
    if not further:
        return message
    return CoreMessage.from_dict(message.to_dict() | plain_json(further, f"{name}.extra"))


def _listed(values: Any, name: str) -> list[Any] | None:
    """Calls, parts or attachments as JSON; Python objects without their fields that are None.

    Raises:
        ValidationError: they are not a list.
    """
    if values is None:
        return None
    if not isinstance(values, list | tuple):
        raise ValidationError(f"must be a list, not {type(values).__name__}", field=name)
    listed: list[Any] = plain_json(list(values), name)
    return [value if isinstance(given, dict) else _said(value) for given, value in zip(values, listed, strict=True)]


def _said(value: Any) -> Any:
    return {name: held for name, held in value.items() if held is not None} if isinstance(value, dict) else value


def shown(message: CoreMessage) -> Message:
    """A stored message in the form of this dialect."""
    further, attached = _further(message)
    return Message(
        message.role,
        jaf.content(message.content or ""),
        jaf.attachments(attached),
        message.tool_call_id,
        jaf.tool_calls(message.tool_calls),
        message.id,
        message.created_at,
        further or None,
        message.seq,
    )


def _further(message: CoreMessage) -> tuple[dict[str, Any], list[Any] | None]:
    """The fields of a message that have no field here, and the attachments."""
    if message.extra is None and message.metadata is None and message.name is None and message.content is not None:
        return ({} if message.state == "complete" else {"state": message.state}), None
    further = {name: value for name, value in message.to_dict().items() if name not in _KNOWN} | (message.extra or {})
    attached = further.pop(_ATTACHMENTS, None)
    if message.content is None:
        further |= {"content": None} | ({"content_absent": True} if message.content_absent else {})
    return further, attached
