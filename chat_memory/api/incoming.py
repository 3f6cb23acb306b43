"""Owns what a client may say about messages and sessions, and how; the core decides whether it can be stored."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from chat_memory.exceptions import ValidationError
from chat_memory.history.bounds import whole
from chat_memory.history.validation import BRANCH_LENGTH, check_key
from chat_memory.records import Message
from chat_memory.storage.base import SESSION_FIELDS

MESSAGE_FIELDS = ("role", "content", "name", "metadata", "id", "tool_calls", "tool_call_id")
"""What a client says of a message; position, time and token count are the server's, and sent ones are ignored."""
FORK_FIELDS = ("name", "at")
_MOMENTS = ("archived_at", "expires_at")
_EMPTY: Mapping[str, Callable[[], Any]] = {"title": str, "tags": list, "metadata": dict}


def messages_of(body: Any) -> list[Message]:
    """The messages of a body, one object or a list of them.

    Raises:
        ValidationError: it is neither, or a value has the wrong type; the field is a path such as ``messages[2].role``.
    """
    if isinstance(body, dict):
        return [_message(body)]
    if not isinstance(body, list) or not body:
        raise ValidationError("the body must be a message or a list of at least one")
    messages = []
    for index, item in enumerate(body):
        try:
            messages.append(_message(item))
        except ValidationError as error:
            raise ValidationError(error.reason, field=_joined(f"messages[{index}]", error.field)) from None
    return messages


def _message(item: Any) -> Message:
    if not isinstance(item, Mapping):
        raise ValidationError("a message must be an object")
    if "role" not in item:
        raise ValidationError("must be given", field="role")
    given = {name: item[name] for name in MESSAGE_FIELDS if name in item}
    if item.get("content_absent") is True and given.get("content", "") is None:
        del given["content"]  # sent back as it came: it had none, and null is the API's way to say so
    return Message.from_dict(given)


def _joined(path: str, field: str) -> str:
    return f"{path}.{field}" if field else path


def of_single(error: ValidationError) -> ValidationError:
    """The same error for a message that came alone, whose field needs no index."""
    return type(error)(error.reason, field=error.field.removeprefix("messages[0]").removeprefix("."))


def session_fields(body: Mapping[str, Any], *, beside: Collection[str] = ()) -> dict[str, Any]:
    """What a body sets of a session, in the core's names and types.

    ``archived`` is short for a time, or none; null empties what can be empty, as it stands for nothing in a message.

    Args:
        body: without the members in ``beside``.
        beside: what else a client may say here, to be named where it says something unknown.

    Raises:
        ValidationError: a member is unknown, a time cannot be read, or ``archived`` is said twice.
    """
    known = {*SESSION_FIELDS, "archived"}
    for name in body:
        if name not in known:
            raise ValidationError(f"is none of {', '.join(sorted(known.union(beside)))}", field=name)
    fields = {name: _EMPTY[name]() if value is None and name in _EMPTY else value for name, value in body.items()}
    for name in _MOMENTS:
        if isinstance(fields.get(name), str):
            fields[name] = _moment(fields[name], name)
    if "archived" in fields:
        archived = fields.pop("archived")
        if not isinstance(archived, bool) or "archived_at" in fields:
            raise ValidationError("must be true or false, and instead of archived_at", field="archived")
        fields["archived_at"] = datetime.now(UTC) if archived else None
    return fields


def fork_fields(body: Mapping[str, Any]) -> tuple[str, int | None]:
    """The name of a new branch, and the last position it shares; None: all there are.

    Raises:
        ValidationError: a member is unknown, or a value is not usable.
    """
    for name in body:
        if name not in FORK_FIELDS:
            raise ValidationError(f"is none of {', '.join(FORK_FIELDS)}", field=name)
    check_key(body.get("name"), "name", BRANCH_LENGTH)
    at = body.get("at")
    return body["name"], None if at is None else whole(at, "at")


def _moment(text: str, field: str) -> datetime:
    try:
        return msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        raise ValidationError("must be a time as in RFC 3339, such as 2025-01-31T09:00:00Z", field=field) from None
