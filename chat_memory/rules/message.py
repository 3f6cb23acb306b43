"""Owns which messages may be stored."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from chat_memory.choices import DEVELOPER, ROLES, STATES, Role, State
from chat_memory.exceptions import TooLarge, ValidationError
from chat_memory.records import MESSAGE_KEYS, Message
from chat_memory.rules.attachments import check_references, hashes
from chat_memory.rules.json_values import check_json, shown, unstorable
from chat_memory.rules.limits import Limits
from chat_memory.rules.names import NAME_LENGTH, check_key, check_text
from chat_memory.rules.redaction import is_redacted
from chat_memory.rules.session import check_metadata
from chat_memory.rules.times import EARLIEST, LATEST, check_time

ID_LENGTH = 512
CALL_ID_LENGTH = 10_000
"""The longest id of a tool call; some providers put a signature of the model's thoughts into it."""
MAX_TOKENS = 2**31
_COMPLETE = State.COMPLETE.value


def check_batch(messages: Sequence[Message], limits: Limits) -> None:
    """Check the messages of one call: their number, each message, and that no id occurs twice.

    Raises:
        ValidationError: a message is invalid; the error's path begins with its index, such as ``messages[2]``.
        TooLarge: there are too many messages, or a message exceeds a size limit.
    """
    if len(messages) > limits.batch:
        raise TooLarge(f"{len(messages)} messages in one call, over MAX_BATCH ({limits.batch})", field="messages")
    for index, message in enumerate(messages):
        try:
            check_message(message, limits)
        except ValidationError as error:
            raise error.under(f"messages[{index}]") from None
    if len(messages) > 1:
        _check_distinct(messages)


def check_message(message: Message, limits: Limits) -> None:
    """Check one message; the rules are the same for every adapter, for Python, the API and imports.

    Raises:
        ValidationError: a field is invalid; the error names it.
        TooLarge: a field exceeds a size limit.
    """
    if not isinstance(message, Message):
        raise ValidationError(f"must be a chat_memory.Message, not {type(message).__name__}{_way_out(message)}")
    if not (_is_short_text(message, limits) and _is_of_text_alone(message)):
        _check_fields(message, limits)


def _way_out(given: object) -> str:
    """A hint how to pass a value that is not a message; "" if there is none."""
    if isinstance(given, dict):
        return ": Message.from_dict() makes one of it"
    return ": give the messages one by one, as in append(*messages)" if isinstance(given, list | tuple) else ""


def _is_short_text(message: Message, limits: Limits) -> bool:
    """Whether role and content are valid, by a quick test that most messages pass; False means: check in full."""
    role, content = message.role, message.content
    return (
        type(role) is str
        and role in ROLES
        and type(content) is str
        and len(content) * 4 <= limits.content_bytes  # no character takes more than four bytes
        and "\x00" not in content
        and (content.isascii() or not unstorable(content))
    )


def _is_of_text_alone(message: Message) -> bool:
    """Whether the other fields are unset or valid, by a quick test; False means: check in full."""
    key, moment, tokens = message.id, message.created_at, message.tokens
    return (
        message.name is None
        and message.metadata is None
        and message.tool_calls is None
        and message.tool_call_id is None
        and message.extra is None
        and message.content_absent is False
        and message.state == _COMPLETE
        and (key is None or (type(key) is str and 0 < len(key) <= ID_LENGTH and key.isascii() and key.isprintable()))
        and (moment is None or (type(moment) is datetime and moment.tzinfo is UTC and EARLIEST <= moment <= LATEST))
        and (tokens is None or (type(tokens) is int and 0 <= tokens < MAX_TOKENS))
    )


def _check_fields(message: Message, limits: Limits) -> None:
    role: object = message.role
    if not isinstance(role, str) or role not in ROLES:
        raise ValidationError(f"{shown(role)} is not one of {', '.join(sorted(ROLES))}", field="role")
    _check_content(message, limits)
    check_text(message.name, "name", NAME_LENGTH)
    check_text(message.tool_call_id, "tool_call_id", CALL_ID_LENGTH)
    if message.id is not None:
        check_key(message.id, "id", ID_LENGTH)
    _check_objects_of(message, limits)
    absent: object = message.content_absent
    if not isinstance(absent, bool) or (absent and message.content is not None):
        raise ValidationError(f"must be False, or True without content, not {shown(absent)}", field="content_absent")
    _check_tokens(message.tokens)
    if message.created_at is not None:
        check_time(message.created_at, "created_at")
    _check_state(message)


def _check_state(message: Message) -> None:
    state: object = message.state
    if not isinstance(state, str) or state not in STATES:
        raise ValidationError(f"{shown(state)} is not one of {', '.join(sorted(STATES))}", field="state")
    if state == State.REDACTED.value and not is_redacted(message):
        raise ValidationError(
            "may be redacted only if the message has no text, metadata or arguments left: redact() removes them",
            field="state",
        )


def _check_objects_of(message: Message, limits: Limits) -> None:
    if message.tool_calls is not None:
        _check_tool_calls(message, limits)
    if message.metadata is not None:
        check_metadata(message.metadata, limits)
    if message.extra is not None:
        _check_extra(message, limits)


def check_number(items: Sequence[object], field: str, limits: Limits) -> None:
    """Check the number of parts or calls; parts inside a part, as in a tool's result, count too.

    Raises:
        TooLarge: there are more than MAX_PARTS.
    """
    within = (item.get("content") for item in items if isinstance(item, dict))
    number = len(items) + sum(len(parts) for parts in within if isinstance(parts, list))
    if number > limits.parts:
        raise TooLarge(f"{number} of them, over MAX_PARTS ({limits.parts})", field=field)


def _check_content(message: Message, limits: Limits) -> None:
    content = message.content
    if isinstance(content, str):
        check_text(content, "content")
        size = len(content) if content.isascii() else len(content.encode())
        if size > limits.content_bytes:
            raise TooLarge(f"{size} bytes, over MAX_CONTENT_BYTES ({limits.content_bytes})", field="content")
    elif isinstance(content, list):
        check_number(content, "content", limits)
        _check_objects(content, "content")
        check_json(content, "content", limits.metadata_depth, limits.content_bytes, "MAX_CONTENT_BYTES")
        check_references(hashes([content]))
    elif content is not None:
        raise ValidationError(f"must be text or a list of parts, not {type(content).__name__}", field="content")
    elif message.role != Role.ASSISTANT.value:
        raise ValidationError(_no_content(message), field="content")


def _no_content(message: Message) -> str:
    """The error for a message without content; it names unknown keys, which may be misspelt content."""
    unknown = ", ".join(shown(name) for name in [*(message.extra or ())][:3] if name != "role")
    named = f"; {unknown}: no field of a message has this name" if unknown else ""
    return f"must be text or a list of parts; only an assistant's may be None{named}"


def _check_extra(message: Message, limits: Limits) -> None:
    extra = message.extra
    if not isinstance(extra, dict):
        raise ValidationError(f"must be an object, not {type(extra).__name__}", field="extra")
    taken = sorted(name for name in extra if name in MESSAGE_KEYS)
    if taken and not (taken == ["role"] and extra["role"] == DEVELOPER and message.role == Role.SYSTEM.value):
        raise ValidationError(f"{shown(taken[0])} is a field of the message: set it there, not in extra", field="extra")
    check_json(extra, "extra", limits.metadata_depth, limits.content_bytes, "MAX_CONTENT_BYTES")


def _check_tool_calls(message: Message, limits: Limits) -> None:
    if message.role != Role.ASSISTANT.value:
        raise ValidationError(f"only an assistant may make tool calls, not {shown(message.role)}", field="tool_calls")
    calls = message.tool_calls
    if not isinstance(calls, list):
        raise ValidationError(f"must be a list of objects, not {type(calls).__name__}", field="tool_calls")
    check_number(calls, "tool_calls", limits)
    _check_objects(calls, "tool_calls")
    check_json(calls, "tool_calls", limits.metadata_depth, limits.content_bytes, "MAX_CONTENT_BYTES")


def _check_tokens(tokens: object) -> None:
    if tokens is not None and (isinstance(tokens, bool) or not isinstance(tokens, int) or not 0 <= tokens < MAX_TOKENS):
        raise ValidationError(f"must be a number from 0 to {MAX_TOKENS - 1}, not {shown(tokens)}", field="tokens")


def _check_objects(items: Sequence[object], field: str) -> None:
    for index, item in enumerate(items):
        if not isinstance(item, dict):
            raise ValidationError(f"must be an object, not {type(item).__name__}", field=f"{field}[{index}]")


def _check_distinct(messages: Sequence[Message]) -> None:
    ids = [message.id for message in messages if message.id is not None]
    if len(set(ids)) == len(ids):
        return
    first: dict[str, int] = {}
    for index, message in enumerate(messages):
        if message.id is not None and first.setdefault(message.id, index) != index:
            both = f"messages[{first[message.id]}] and messages[{index}]"
            raise ValidationError(f"{both} have the same id {shown(message.id)}", field="messages")
