"""Owns the conversion of messages to columns and to JSON, and of columns to messages; it must not run a query."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from itertools import accumulate, repeat
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec

from chat_memory.choices import State
from chat_memory.exceptions import MessageConflict
from chat_memory.fields import IDENTITY
from chat_memory.records import Content, Message, Span, TranscriptBranch
from chat_memory.rules.calls import starts_turn

_encode = msgspec.json.encode
_decode = msgspec.json.decode
_new_tuple = tuple.__new__
_decode_messages = msgspec.json.Decoder(list[Message]).decode
_REDACTED = State.REDACTED.value
_USUAL_END = b'"state":"complete"}'
"""How the JSON of a message without ``extra`` ends, unless its state or ``content_absent`` is unusual."""


class Row(NamedTuple):
    """The columns of a message whose values come from the message itself; names and order are MESSAGE_COLUMNS."""

    client_id: str
    role: str
    content: str | None
    parts: str | None
    name: str | None
    tool_calls: str | None
    tool_call_id: str | None
    metadata: str | None
    extra: str | None
    tokens: int | None
    created_at: datetime
    state: str

    @property
    def is_plain(self) -> bool:
        """Whether all columns outside PLAIN_COLUMNS are None."""
        return (
            self.parts is None
            and self.name is None
            and self.tool_calls is None
            and self.tool_call_id is None
            and self.metadata is None
            and self.extra is None
        )


class Columns(NamedTuple):
    """The rows of several messages, column by column; ``is_plain``: every row is plain."""

    client_id: list[str]
    role: list[str]
    content: list[str | None]
    parts: list[str | None]
    name: list[str | None]
    tool_calls: list[str | None]
    tool_call_id: list[str | None]
    metadata: list[str | None]
    extra: list[str | None]
    tokens: list[int | None]
    created_at: list[datetime]
    state: list[str]
    is_plain: bool


COLUMNS = Row._fields
READ_COLUMNS = ("seq", *COLUMNS, "turn")


class MessageJson(msgspec.Struct, frozen=True, gc=False):
    """A message in the API's JSON: every member is always present, except ``content_absent``.

    The keys of a message's ``extra`` are members beside these.
    """

    id: str | None
    seq: int | None
    turn: int | None
    role: str
    content: Content
    name: str | None
    tool_calls: list[Any] | None
    tool_call_id: str | None
    metadata: dict[str, Any] | None
    tokens: int | None
    created_at: datetime | None
    state: str
    content_absent: bool | msgspec.UnsetType = msgspec.UNSET


JSON_MEMBERS = MessageJson.__struct_fields__


def to_json(messages: Message | Sequence[Message]) -> bytes:
    """One message, or a list of messages, as the API's JSON, which ``of_json`` reads."""
    return _encode(_wire(messages) if isinstance(messages, Message) else [_wire(message) for message in messages])


def page_json(messages: Sequence[Message], span: Span) -> tuple[bytes, int]:
    """The messages of a span as one JSON list, and their number; those that exceed ``span.most`` are left out."""
    body = to_json(messages)
    if span.most is None or len(body) <= span.most:
        return body, len(messages)
    kept = fitting([to_json(message) for message in messages], span.most, from_end=span.last is not None)
    return b"[%b]" % b",".join(kept), len(kept)


def fitting(texts: Sequence[bytes], most: int, *, from_end: bool) -> Sequence[bytes]:
    """The first JSON values that fit into a list of ``most`` bytes, or the last with ``from_end``; at least one."""
    sizes = accumulate((len(text) + 1 for text in (reversed(texts) if from_end else texts)), initial=1)
    kept = max(1, sum(size <= most for size in sizes) - 1)
    return texts[-kept:] if from_end else texts[:kept]


def within(messages: list[Message], span: Span) -> list[Message]:
    """The messages of a span without those that exceed its ``most``, which applies only with ``first`` or ``last``."""
    if span.most is None or (span.first is None and span.last is None):
        return messages
    from_end = span.last is not None
    kept = len(fitting([to_json(message) for message in messages], span.most, from_end=from_end))
    return messages[-kept:] if from_end else messages[:kept]


def of_json(texts: Sequence[bytes]) -> list[Message]:
    """The messages of texts, each of which ``to_json`` wrote for one message.

    Raises:
        ValueError: a text is something else.
    """
    if [text for text in texts if not text.endswith(_USUAL_END)]:
        return [Message.from_dict(_decode(text)) for text in texts]
    return _decode_messages(b"[" + b",".join(texts) + b"]")


def _wire(message: Message) -> MessageJson | dict[str, Any]:
    members = _members(message)
    if not message.extra:
        return members
    # The role comes last, so that the text never ends with _USUAL_END.
    shown = {name: value for name in JSON_MEMBERS if (value := getattr(members, name)) is not msgspec.UNSET}
    role = {"role": message.extra.get("role", shown.pop("role"))}
    return shown | message.extra | role


def _members(message: Message) -> MessageJson:
    return MessageJson(
        message.id,
        message.seq,
        message.turn,
        message.role,
        message.content,
        message.name,
        message.tool_calls,
        message.tool_call_id,
        message.metadata,
        message.tokens,
        message.created_at,
        message.state,
        message.content_absent or msgspec.UNSET,
    )


def to_row(message: Message) -> Row:
    """The columns of a validated message that has an id and a time."""
    content, tool_calls, metadata, extra = message.content, message.tool_calls, message.metadata, message.extra
    text, parts = (content, None) if type(content) is str else _content_columns(message)
    # Row(...) would take twice as long: the constructor of a NamedTuple is written in Python.
    return _new_tuple(
        Row,
        (
            message.id or "",
            message.role,
            text,
            parts,
            message.name,
            None if tool_calls is None else _encode(tool_calls).decode(),
            message.tool_call_id,
            None if metadata is None else _encode(metadata).decode(),
            None if extra is None else _encode(extra).decode(),
            message.tokens,
            message.created_at or datetime.now(UTC),
            message.state,
        ),
    )


def to_columns(messages: Sequence[Message]) -> Columns:
    """The columns of one or more validated messages with ids and times; the values are those of ``to_row``."""
    content: list[Any] = [message.content for message in messages]
    parts: list[str | None] = [None] * len(content)
    if {*map(type, content)} != {str}:
        content, parts = map(list, zip(*map(_content_columns, messages), strict=True))
    others = (
        parts,
        [message.name for message in messages],
        _json_column([message.tool_calls for message in messages]),
        [message.tool_call_id for message in messages],
        _json_column([message.metadata for message in messages]),
        _json_column([message.extra for message in messages]),
    )
    return Columns(
        [message.id or "" for message in messages],
        [message.role for message in messages],
        content,
        *others,
        [message.tokens for message in messages],
        [message.created_at or datetime.now(UTC) for message in messages],
        [message.state for message in messages],
        all(column.count(None) == len(column) for column in others),
    )


def _content_columns(message: Message) -> tuple[str | None, str | None]:
    """The columns ``content`` and ``parts``: text, or JSON for other content; neither where content is absent."""
    content = message.content
    if isinstance(content, str):
        return content, None
    return None, None if message.content_absent else _encode(content).decode()


def _json_column(values: list[Any]) -> list[str | None]:
    """JSON values as text, in the given order of keys; None stays None."""
    if values.count(None) == len(values):
        return values
    return [None if value is None else _encode(value).decode() for value in values]


def to_messages(rows: Sequence[Sequence[Any]], zone: tzinfo = UTC) -> list[Message]:
    """The messages of stored rows, in the order of the rows; the first columns must be READ_COLUMNS.

    ``zone`` is the time zone of naive times, which SQLite returns. The conversion works column by column: for plain
    text messages it then runs no Python code per message.
    """
    if not rows:
        return []
    seq, ids, role, content, parts, name, tool_calls, call_ids, metadata, extra, tokens, created_at, state, turn, *_ = (
        zip(*rows, strict=True)
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
            state,
            _decoded(extra),
            turn,
        )
    )


def _contents(texts: Sequence[str | None], parts: Sequence[str | None]) -> tuple[list[Content], list[bool]]:
    """The contents stored in two columns, and whether each is absent."""
    decoded = _decoded(parts)
    contents = [other if text is None else text for text, other in zip(texts, decoded, strict=True)]
    return contents, [text is None and other is None for text, other in zip(texts, parts, strict=True)]


def _decoded(column: Sequence[str | None]) -> Sequence[Any]:
    return [text and _decode(text) for text in column] if any(column) else column


def utc_of(column: Sequence[Any], zone: tzinfo) -> Sequence[datetime]:
    """A column of times as aware UTC; naive times, and the text that SQLite stores, are in ``zone``."""
    if getattr(column[0], "tzinfo", None) is UTC:
        return column
    moments = [datetime.fromisoformat(moment) if isinstance(moment, str) else moment for moment in column]
    aware = [moment.replace(tzinfo=zone) if moment.tzinfo is None else moment for moment in moments]
    return [moment.astimezone(UTC) for moment in aware]


def content_of(text: str | None, parts: str | None) -> Content:
    """The content stored in the columns ``content`` and ``parts`` of one row."""
    return _contents([text], [parts])[0][0]


def turns(messages: Sequence[Message]) -> list[int]:
    """For each message, the number of turns begun so far in this call; a turn begins with a question."""
    return list(accumulate([starts_turn(message) for message in messages], initial=0))[1:]


def numbered(messages: Sequence[Message], newest: int, begun: dict[int, int]) -> list[int]:
    """The turn number of each message, where the messages may have turn numbers from another store.

    A question begins the next turn. Any other message stays in the turn of its question: its number is translated by
    ``begun``, or used as it is if ``begun`` lacks it, but never beyond the newest turn. A message without a number, or
    with one below 1, is in the newest turn.

    Args:
        messages: the messages, in order.
        newest: the number of the turn before them.
        begun: the turn numbers here by the numbers there, as far as known; those of ``messages`` are added.
    """
    numbers = []
    for message in messages:
        if starts_turn(message):
            newest += 1
            if message.turn is not None:
                begun[message.turn] = newest
            numbers.append(newest)
        else:
            number = newest if message.turn is None else begun.get(message.turn, message.turn)
            numbers.append(min(number, newest) if number > 0 else newest)
    return numbers


def turns_before(messages: Sequence[Message], most: int) -> int:
    """The number of turns that precede some messages, derived from the messages' turn numbers; at most ``most``."""
    numbers = [(message.turn or 0) - 1 for message in messages if starts_turn(message)][:1]
    numbers = numbers or [message.turn or 0 for message in messages]
    return max(0, min(max(numbers, default=0), most))


def turns_of_fork(branch: TranscriptBranch, shared: int | None) -> int:
    """The number of turns that precede the own messages of a branch of a transcript.

    ``shared`` is the number of turns that the parent has up to the fork; None: not known, since the parent hides them.
    """
    begun = turns_before(branch.messages, branch.fork_seq) if shared is None else shared
    hidden = max(0, branch.base_seq - branch.fork_seq)
    return max(begun, turns_before(branch.messages, begun + hidden))


def check_replay(stored: Message, repeated: Message) -> None:
    """Check that a message with a stored id is a retry: all fields in IDENTITY are equal, in any order of keys.

    The stored metadata and ``extra`` may have more keys, for example after an edit that added a rating. A message with
    the id of a redacted message always counts as a retry, because nothing is left to compare it with.

    Raises:
        MessageConflict: the stored message differs.
    """
    if stored.state == _REDACTED or identity(stored) == identity(repeated):
        return
    same = identity(stored, of=_lasting_of) == identity(repeated, of=_lasting_of)
    if not (same and _has(stored.metadata, repeated.metadata) and _has(stored.extra, repeated.extra)):
        raise MessageConflict(repeated.id or "", seq=stored.seq)


def _has(stored: Mapping[str, Any] | None, repeated: Mapping[str, Any] | None) -> bool:
    """Whether a stored object has every member of a repeated one; a stored None matches only a repeated None."""
    if stored is None or repeated is None:
        return repeated is None
    members = ((name, stored[name], value) for name, value in repeated.items() if name in stored)
    same = [name for name, kept, value in members if _encode(kept, order="sorted") == _encode(value, order="sorted")]
    return len(same) == len(repeated)


def new_messages(messages: Sequence[Message], stored: Mapping[str | None, Message]) -> list[Message]:
    """The messages of one call whose ids are not stored; the others must be retries.

    Raises:
        MessageConflict: a stored message differs.
    """
    for index, message in enumerate(messages):
        if message.id in stored:
            try:
                check_replay(stored[message.id], message)
            except MessageConflict as conflict:
                raise conflict.under(f"messages[{index}]") from None
    return [message for message in messages if message.id not in stored]


_identity_of = attrgetter(*IDENTITY, "content_absent")
_lasting_of = attrgetter(*(name for name in IDENTITY if name not in ("metadata", "extra")), "content_absent")


def identity(message: Message, of: Callable[[Message], Any] = _identity_of) -> bytes:
    """The fields that a retry of a message must repeat, as JSON with sorted keys; ``of``: which ones."""
    return _encode(of(message), order="sorted")
