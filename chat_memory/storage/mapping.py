"""Owns how a message becomes columns and columns a message again; it must not run a query."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from itertools import accumulate, repeat
from typing import Any, NamedTuple

import msgspec

from chat_memory.choices import Role
from chat_memory.exceptions import MessageConflict
from chat_memory.records import Content, Message

_encode = msgspec.json.encode
_decode = msgspec.json.decode


class Row(NamedTuple):
    """The columns of a message that come from the message itself, in the order every statement uses."""

    client_id: str
    role: str
    content: str | None
    parts: str | None
    name: str | None
    tool_calls: str | None
    tool_call_id: str | None
    metadata: str | None
    tokens: int | None
    created_at: datetime

    @property
    def has_text_alone(self) -> bool:
        """Whether the columns most messages leave empty are empty here too."""
        return (
            self.parts is None
            and self.name is None
            and self.tool_calls is None
            and self.tool_call_id is None
            and self.metadata is None
        )


COLUMNS = Row._fields
READ_COLUMNS = ("seq", *COLUMNS)


class _Wire(msgspec.Struct, frozen=True):
    """A message as the API shows it: every member is always there, but for the mark of an absent content."""

    id: str | None
    seq: int | None
    role: str
    content: Content
    name: str | None
    tool_calls: list[Any] | None
    tool_call_id: str | None
    metadata: dict[str, Any] | None
    tokens: int | None
    created_at: datetime | None
    content_absent: bool | msgspec.UnsetType = msgspec.UNSET


JSON_MEMBERS = _Wire.__struct_fields__


def to_json(said: Message | Sequence[Message]) -> bytes:
    """One message, or a list of them, as the JSON the API speaks; ``Message`` decodes it again."""
    return _encode(_wire(said) if isinstance(said, Message) else [_wire(message) for message in said])


def _wire(message: Message) -> _Wire:
    return _Wire(
        message.id,
        message.seq,
        message.role,
        message.content,
        message.name,
        message.tool_calls,
        message.tool_call_id,
        message.metadata,
        message.tokens,
        message.created_at,
        message.content_absent or msgspec.UNSET,
    )


def to_row(message: Message) -> Row:
    """The columns of a validated message that has an id and a time."""
    content = message.content
    text = content if isinstance(content, str) else None
    has_parts = text is None and not message.content_absent
    return Row(
        message.id or "",
        message.role,
        text,
        _encode(content).decode() if has_parts else None,
        message.name,
        json_text(message.tool_calls),
        message.tool_call_id,
        json_text(message.metadata),
        message.tokens,
        message.created_at or datetime.now(UTC),
    )


def to_messages(rows: Sequence[Sequence[Any]], zone: tzinfo = UTC) -> list[Message]:
    """The messages of stored rows, whose first columns are READ_COLUMNS, in the order of the rows.

    ``zone`` is what times that do not say are in, as SQLite's.
    Column by column rather than row by row: a history of text alone then costs no Python per message.
    """
    if not rows:
        return []
    seq, ids, role, content, parts, name, tool_calls, call_ids, metadata, tokens, created_at, *_ = zip(
        *rows, strict=True
    )
    contents, absent = _contents(content, parts) if None in content else (content, repeat(False))
    return list(
        map(
            Message,
            role,
            contents,
            name,
            _decoded(metadata),
            ids,
            _decoded(tool_calls),
            call_ids,
            seq,
            utc_of(created_at, zone),
            tokens,
            absent,
        )
    )


def _contents(texts: Sequence[str | None], parts: Sequence[str | None]) -> tuple[list[Content], list[bool]]:
    decoded = _decoded(parts)
    contents = [other if text is None else text for text, other in zip(texts, decoded, strict=True)]
    return contents, [text is None and other is None for text, other in zip(texts, parts, strict=True)]


def _decoded(column: Sequence[str | None]) -> Sequence[Any]:
    return [text and _decode(text) for text in column] if any(column) else column


def utc_of(column: Sequence[Any], zone: tzinfo) -> Sequence[datetime]:
    """Times as aware UTC whatever the connection's time zone; SQLite stores text, in that zone without saying so."""
    if getattr(column[0], "tzinfo", None) is UTC:
        return column
    moments = [datetime.fromisoformat(moment) if isinstance(moment, str) else moment for moment in column]
    aware = [moment.replace(tzinfo=zone) if moment.tzinfo is None else moment for moment in moments]
    return [moment.astimezone(UTC) for moment in aware]


def content_of(text: str | None, parts: str | None) -> Content:
    """The content that two columns hold."""
    return _contents([text], [parts])[0][0]


def json_text(value: Any) -> str | None:
    """A JSON value as text, key order kept; None stays None."""
    return None if value is None else _encode(value).decode()


def turns(messages: Sequence[Message]) -> list[int]:
    """For each message how many turns of this call have begun with it: a turn begins with a user's message."""
    return list(accumulate(int(message.role == Role.USER.value) for message in messages))


def check_replay(stored: Message, given: Message) -> None:
    """Compare what the caller may have sent twice; order of keys and the time of the attempt do not matter.

    Raises:
        MessageConflict: same id, other content.
    """
    if identity(stored) != identity(given):
        raise MessageConflict(given.id or "")


def identity(message: Message) -> bytes:
    """What of a message must be equal in a retry: neither the order of keys nor the time of the attempt."""
    fields = (
        message.role,
        message.content,
        message.content_absent,
        message.name,
        message.metadata,
        message.tool_calls,
        message.tool_call_id,
    )
    return _encode(fields, order="sorted")
