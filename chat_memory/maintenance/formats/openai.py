"""Owns OpenAI's line format: the lines of chats and of fine-tuning files."""

from __future__ import annotations

import hashlib
import uuid
from typing import Any

import msgspec

from chat_memory.exceptions import ValidationError
from chat_memory.maintenance.formats import json_lines, messages
from chat_memory.maintenance.formats.values import text_id
from chat_memory.records import Transcript
from chat_memory.rules.names import check_key

_KEYS = frozenset({"id", "messages", "metadata"})


def key_of(record: dict[str, Any]) -> Any:
    """The key of a line: its id, or, as in fine-tuning files, a hash of its content that ignores the order of keys."""
    key = text_id(record.get("id"), "id")
    if key is None:
        digest = hashlib.sha256(msgspec.json.encode(record, order="sorted")).hexdigest()
        key = f"openai-{digest[:32]}"
    return key


def read(record: dict[str, Any], key: Any = None) -> Transcript:
    """The conversation of a line; its keys other than id, messages and metadata are kept in the session's metadata.

    Args:
        record: the line.
        key: the result of ``key_of`` for the unchanged line; None: compute it here.

    Raises:
        ValidationError: the line has the wrong form; the error names the path. Sizes and values are checked later.
    """
    key = key_of(record) if key is None else key
    check_key(key, "id")
    if "messages" not in record:
        raise ValidationError("is missing", field="messages")
    metadata = _metadata(record)
    fields = {} if metadata == {} else {"metadata": metadata}
    read_messages = messages.read(record["messages"], uuid.uuid5(messages.NAMESPACE, key))
    return Transcript(key, read_messages, fields=fields, further_keys=tuple(_others(record)))


def write(transcript: Transcript) -> bytes:
    """The line of a conversation: all that OpenAI's format has, so no times, ids or metadata of messages."""
    shown = [messages.to_openai(message) for message in transcript.messages]
    line: dict[str, Any] = {"id": transcript.key, "messages": shown}
    metadata = transcript.fields.get("metadata")
    return json_lines.write(line | ({"metadata": metadata} if metadata else {}))


def _metadata(record: dict[str, Any]) -> Any:
    metadata = {} if record.get("metadata") is None else record["metadata"]
    others = _others(record)
    if not others or not isinstance(metadata, dict):
        return metadata
    twice = sorted(others.keys() & metadata.keys())
    if twice:
        raise ValidationError(f"{twice[0][:40]!r} is a key of the line and of its metadata", field="metadata")
    return metadata | others


def _others(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in _KEYS and value is not None}
