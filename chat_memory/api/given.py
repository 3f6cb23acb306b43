"""Owns the conversion of request bodies into the names and types of the core."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NamedTuple

from chat_memory.api.shapes import MessagePatch
from chat_memory.exceptions import ValidationError
from chat_memory.fields import GIVEN, empty_session
from chat_memory.records import MESSAGE_KEYS, Message, check_aware

_OF_SERVER = MESSAGE_KEYS - {*GIVEN, "content_absent"}


class Changes(NamedTuple):
    """What a MessagePatch body changes: fields of the message, and further members."""

    fields: dict[str, Any]
    further: dict[str, Any]


def settings_in(members: dict[str, Any]) -> dict[str, Any]:
    """The session fields that the members of a SessionIn or SessionPatch body set, in the core's names and types.

    Raises:
        ValidationError: the body has both ``archived`` and ``archived_at``.
    """
    empty = empty_session()
    settings = {name: empty[name] if value is None else value for name, value in members.items() if name in empty}
    if "archived" in members:
        if "archived_at" in members:
            raise ValidationError("cannot be combined with archived_at", field="archived")
        settings["archived_at"] = datetime.now(UTC) if members["archived"] else None
    return settings


def messages_in(body: Any) -> list[Message]:
    """The messages of a request body: one object, or a list of objects.

    Raises:
        ValidationError: the body is neither, a role is missing, or a value has the wrong type; the error's field is a
            path such as ``messages[2].role``.
    """
    if isinstance(body, dict):
        return [_message_in(body)]
    if not isinstance(body, list) or not body:
        raise ValidationError("the body must be a message, or a list of at least one message")
    messages = []
    for index, item in enumerate(body):
        try:
            messages.append(_message_in(item))
        except ValidationError as error:
            raise error.under(f"messages[{index}]") from None
    return messages


def changes_in(body: Any) -> Changes:
    """What a MessagePatch body changes.

    Raises:
        ValidationError: the body is not an object, or it names a member that cannot be changed.
    """
    if not isinstance(body, dict):
        raise ValidationError("the body must be an object")
    settable = MessagePatch.__struct_fields__
    for name in body:
        if name in MESSAGE_KEYS and name not in settable:
            raise ValidationError("cannot be changed", field=name)
    fields = {name: body[name] for name in settable if name in body}
    return Changes(fields, {name: value for name, value in body.items() if name not in settable})


def _message_in(item: Any) -> Message:
    if not isinstance(item, dict):
        raise ValidationError("a message must be an object")
    if "role" not in item:
        raise ValidationError("must be given", field="role")
    _check_time_sent(item.get("created_at"))
    # A client may send back a message that it read; the members that the server sets are dropped.
    return Message.from_dict({name: value for name, value in item.items() if name not in _OF_SERVER})


def _check_time_sent(sent: object) -> None:
    """Refuse a naive ``created_at``; ignore any other value, because the server sets the time.

    Raises:
        ValidationError: the text is a time without an offset.
    """
    try:
        moment = datetime.fromisoformat(sent) if isinstance(sent, str) else None
    except ValueError:
        return
    check_aware(moment, "created_at")
