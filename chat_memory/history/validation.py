"""Owns what may be stored, as pure functions over a message and the limits; it must not store anything."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from math import isfinite
from typing import Any

import msgspec

from chat_memory.choices import ROLES, Role
from chat_memory.exceptions import TooLarge, ValidationError
from chat_memory.records import Message, as_utc
from chat_memory.storage.base import SESSION_FIELDS

ID_LENGTH = 128
NAME_LENGTH = 255
KEY_LENGTH = 255
BRANCH_LENGTH = 100
TITLE_LENGTH = 200
TAG_LENGTH = 100
MAX_TAGS = 100
LONGEST_TTL = 10 * 366 * 24 * 3600
MAX_TOKENS = 2**31
MAX_DIGITS = 4_000
EARLIEST, LATEST = datetime(1, 1, 3, tzinfo=UTC), datetime(9999, 12, 29, tzinfo=UTC)
"""Times within these can be shown in every time zone."""
_MAX_BITS = MAX_DIGITS * 3322 // 1000

_SLUG = re.compile(r"[A-Za-z0-9._-]{1,100}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class Limits(msgspec.Struct, frozen=True):
    """The size limits, in bytes of UTF-8, levels of nesting and messages per call."""

    content_bytes: int
    metadata_bytes: int
    metadata_depth: int
    batch: int


def check_workspace(slug: object) -> None:
    """A workspace slug is 1..100 of ``[A-Za-z0-9._-]``.

    Raises:
        ValidationError: it is not.
    """
    if not isinstance(slug, str) or not _SLUG.fullmatch(slug):
        raise ValidationError(f"{_shown(slug)} is not 1 to 100 of A-Z, a-z, 0-9, '.', '_', '-'", field="workspace")


def check_key(text: object, field: str = "key", length: int = KEY_LENGTH) -> None:
    """A session key, user key or branch name is text of 1..``length`` without control characters and surrogates.

    Raises:
        ValidationError: it is not.
    """
    if not isinstance(text, str):
        raise ValidationError(f"must be text, not {type(text).__name__}", field=field)
    if not 1 <= len(text) <= length:
        raise ValidationError(f"must be 1 to {length} characters, not {len(text)}", field=field)
    if _CONTROL.search(text):
        raise ValidationError("must not contain control characters or surrogates", field=field)


def check_cache_ttl(ttl: object) -> None:
    """How long a conversation may be cached: seconds from 0 to LONGEST_TTL, or None (FEATURES N11, R03).

    Raises:
        ValidationError: it is not.
    """
    if ttl is None:
        return
    if isinstance(ttl, bool) or not isinstance(ttl, (int, float)) or not 0 <= ttl <= LONGEST_TTL:
        raise ValidationError(f"must be None or seconds from 0 to {LONGEST_TTL}", field="cache_ttl")


def object_of(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object as a parser gives it to its ``object_pairs_hook``.

    Raises:
        ValidationError: a name is there twice: which of the two was meant is anybody's guess.
    """
    made = dict(members)
    if len(made) != len(members):
        raise ValidationError("one object has the same name twice")
    return made


def check_batch(messages: Sequence[Message], limits: Limits) -> None:
    """Every message, and the batch as a whole: its size, and no id twice (FEATURES J28).

    Raises:
        ValidationError: the first thing wrong, with the index of its message.
        TooLarge: the same for sizes.
    """
    if len(messages) > limits.batch:
        raise TooLarge(f"{len(messages)} in one call, over MAX_BATCH ({limits.batch})", field="messages")
    for index, message in enumerate(messages):
        try:
            check_message(message, limits)
        except ValidationError as error:
            path = f"messages[{index}]" + (f".{error.field}" if error.field else "")
            raise type(error)(error.reason, field=path) from None
    ids = [message.id for message in messages if message.id is not None]
    if len(set(ids)) != len(ids):
        raise ValidationError("two messages of one call have the same id", field="messages")


def check_message(message: Message, limits: Limits) -> None:
    """One message against the rules and limits that hold on every adapter and behind every door.

    Raises:
        ValidationError: what is wrong and in which field.
        TooLarge: the same for sizes.
    """
    if not isinstance(message, Message):
        raise ValidationError(f"must be a chat_memory.Message, not {type(message).__name__}")
    if not _is_role(message.role):
        raise ValidationError(f"{_shown(message.role)} is none of {', '.join(sorted(ROLES))}", field="role")
    _check_content(message, limits)
    _check_text(message.name, "name", NAME_LENGTH)
    _check_text(message.tool_call_id, "tool_call_id", NAME_LENGTH)
    if message.id is not None:
        check_key(message.id, "id", ID_LENGTH)
    if message.tool_calls is not None:
        _check_tool_calls(message, limits)
    if message.metadata is not None:
        check_metadata(message.metadata, limits)
    absent: object = message.content_absent
    if not isinstance(absent, bool) or (absent and message.content is not None):
        raise ValidationError("must be False, or True beside no content", field="content_absent")
    _check_tokens(message.tokens)
    if message.created_at is not None:
        check_time(message.created_at, "created_at")


def check_metadata(metadata: object, limits: Limits) -> None:
    """A JSON object within the limits (FEATURES J16, J17).

    Raises:
        ValidationError: what is wrong, with its path.
        TooLarge: over MAX_METADATA_BYTES.
    """
    if not isinstance(metadata, dict):
        raise ValidationError(f"must be an object, not {type(metadata).__name__}", field="metadata")
    check_json(metadata, "metadata", limits.metadata_depth, limits.metadata_bytes, "MAX_METADATA_BYTES")


def check_model(name: object) -> None:
    """The name of a model is text of at most 255 characters; "" where nobody is named.

    Raises:
        ValidationError: it is not.
    """
    if not isinstance(name, str):
        raise ValidationError(f"must be text, not {type(name).__name__}", field="model")
    _check_text(name, "model", NAME_LENGTH)


def check_session_fields(fields: Mapping[str, Any], limits: Limits) -> Mapping[str, Any]:
    """What users may set of a session: title, tags, metadata, pinned, archived_at, expires_at.

    Raises:
        ValidationError: an unknown field, or a value that cannot be stored.
        TooLarge: metadata over MAX_METADATA_BYTES.
    """
    for field, value in fields.items():
        if field not in SESSION_FIELDS:
            raise ValidationError(f"is none of {', '.join(sorted(SESSION_FIELDS))}", field=field)
        _FIELD_CHECKS[field](value, field, limits)
    return {field: plain(value) for field, value in fields.items()}


def plain(value: Any) -> Any:
    """Text, or a list of texts, as plain ``str``: drivers and codecs treat a SafeString or an Enum otherwise."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    return str.__str__(value) if isinstance(value, str) else value


def _check_title(value: object, field: str, _limits: Limits) -> None:
    if not isinstance(value, str):
        raise ValidationError(f"must be text, not {type(value).__name__}", field=field)
    _check_text(value, field, TITLE_LENGTH)


def _check_tags(value: object, field: str, _limits: Limits) -> None:
    if not isinstance(value, list) or len(value) > MAX_TAGS:
        raise ValidationError(f"must be a list of at most {MAX_TAGS} tags", field=field)
    for index, tag in enumerate(value):
        check_key(tag, f"{field}[{index}]", TAG_LENGTH)


def _check_session_metadata(value: object, _field: str, limits: Limits) -> None:
    check_metadata(value, limits)


def _check_flag(value: object, field: str, _limits: Limits) -> None:
    if not isinstance(value, bool):
        raise ValidationError(f"must be true or false, not {type(value).__name__}", field=field)


def _check_moment(value: object, field: str, _limits: Limits) -> None:
    if value is None:
        return
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ValidationError("must be an aware datetime or None", field=field)
    check_time(value, field)


_FIELD_CHECKS: Mapping[str, Callable[[object, str, Limits], None]] = {
    "title": _check_title,
    "tags": _check_tags,
    "metadata": _check_session_metadata,
    "pinned": _check_flag,
    "archived_at": _check_moment,
    "expires_at": _check_moment,
}


def check_json(value: object, field: str, depth: int, size: int, setting: str) -> None:
    """Plain JSON: objects with text keys, lists, text, finite numbers, booleans and None; nothing else.

    Raises:
        ValidationError: the first value that is something else, nested deeper than ``depth`` or unstorable.
        TooLarge: more than ``size`` bytes of JSON.
    """
    try:
        length = len(msgspec.json.encode(value))
    except RecursionError:
        raise ValidationError(f"nested deeper than {depth} levels", field=field) from None
    except (TypeError, ValueError, OverflowError):
        length = -1  # the walk below names the culprit
    if length > size:
        raise TooLarge(f"{length} bytes of JSON, over {setting} ({size})", field=field)
    _check_levels([(field, value)], field, depth)
    if length < 0:
        raise ValidationError("is not JSON", field=field)


def _check_levels(level: list[tuple[str, object]], field: str, depth: int) -> None:
    """Level by level rather than by recursion: a hostile value cannot exhaust the stack."""
    for _ in range(depth + 1):
        level = [below for path, value in level for below in _below(path, value)]
        if not level:
            return
    raise ValidationError(f"nested deeper than {depth} levels", field=field)


def _below(path: str, value: object) -> list[tuple[str, object]]:
    """What a container holds, with paths; a leaf holds nothing and is checked."""
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise ValidationError(f"key {_shown(key)} is not text", field=path)
            _check_leaf(key, path)
        return [(f"{path}.{key[:40]}", item) for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return [(f"{path}[{index}]", item) for index, item in enumerate(value)]
    _check_leaf(value, path)
    return []


def _check_leaf(value: object, path: str) -> None:
    kind = type(value)
    if kind is str:
        if unstorable(str(value)):
            raise ValidationError("must not contain NUL or lone surrogates", field=path)
    elif isinstance(value, bool) or value is None:
        return
    elif isinstance(value, int) and kind is int:
        if value.bit_length() > _MAX_BITS:
            raise ValidationError(f"a number of more than {MAX_DIGITS} digits", field=path)
    elif isinstance(value, float) and kind is float:
        if not isfinite(value):
            raise ValidationError(f"{value} is not a JSON number", field=path)
    else:
        raise ValidationError(f"{kind.__name__} is not a JSON type", field=path)


def _is_role(value: object) -> bool:
    return isinstance(value, str) and value in ROLES


def _check_content(message: Message, limits: Limits) -> None:
    content = message.content
    if isinstance(content, str):
        _check_text(content, "content")
        # The cheap bound first: no character takes more than four bytes.
        if len(content) * 4 > limits.content_bytes and (size := len(content.encode())) > limits.content_bytes:
            raise TooLarge(f"{size} bytes, over MAX_CONTENT_BYTES ({limits.content_bytes})", field="content")
    elif isinstance(content, list):
        if not all(isinstance(part, dict) for part in content):
            raise ValidationError("every content part must be an object", field="content")
        check_json(content, "content", limits.metadata_depth, limits.content_bytes, "MAX_CONTENT_BYTES")
    elif content is not None:
        raise ValidationError(f"must be text or a list of parts, not {type(content).__name__}", field="content")
    elif message.role != Role.ASSISTANT.value or not message.tool_calls:
        raise ValidationError("may be None only for an assistant with tool calls", field="content")


def _check_tool_calls(message: Message, limits: Limits) -> None:
    if message.role != Role.ASSISTANT.value:
        raise ValidationError("only an assistant makes tool calls", field="tool_calls")
    calls = message.tool_calls
    if not isinstance(calls, list) or not all(isinstance(call, Mapping) for call in calls):
        raise ValidationError("must be a list of objects", field="tool_calls")
    check_json(calls, "tool_calls", limits.metadata_depth, limits.content_bytes, "MAX_CONTENT_BYTES")


def _check_text(text: object, field: str, length: int | None = None) -> None:
    if text is None:
        return
    if not isinstance(text, str):
        raise ValidationError(f"must be text, not {type(text).__name__}", field=field)
    if length is not None and len(text) > length:
        raise ValidationError(f"longer than {length} characters", field=field)
    if unstorable(text):
        raise ValidationError("must not contain NUL or lone surrogates", field=field)


def check_time(moment: object, field: str) -> None:
    """A time that can be shown in every zone; a naive one is taken to be UTC.

    Raises:
        ValidationError: it is no datetime, or too early or too late.
    """
    if not isinstance(moment, datetime):
        raise ValidationError(f"must be a datetime, not {type(moment).__name__}", field=field)
    try:
        within = EARLIEST <= (as_utc(moment) or EARLIEST) <= LATEST
    except OverflowError:
        within = False
    if not within:
        raise ValidationError(f"must lie between {EARLIEST:%Y-%m-%d} and {LATEST:%Y-%m-%d}", field=field)


def _check_tokens(tokens: object) -> None:
    if tokens is not None and (isinstance(tokens, bool) or not isinstance(tokens, int) or not 0 <= tokens < MAX_TOKENS):
        raise ValidationError("must be a number from 0 to 2147483647", field="tokens")


def unstorable(text: str) -> bool:
    """Whether PostgreSQL would refuse the text: a NUL, or a surrogate that UTF-8 cannot carry (FEATURES J35)."""
    if "\x00" in text:
        return True
    if text.isascii():
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _shown(value: object) -> str:
    """A value in an error message: short, and safe for numbers and nestings that ``repr`` refuses."""
    return ascii(value[:40]) if isinstance(value, str) else f"a value of type {type(value).__name__}"
