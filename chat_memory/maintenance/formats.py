"""Owns the line formats, a conversation as one line of JSON and back; it must not touch files or the database."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import msgspec

from chat_memory.choices import MAIN_BRANCH, Role
from chat_memory.exceptions import ValidationError
from chat_memory.history.validation import BRANCH_LENGTH, check_key, check_model, object_of, unstorable
from chat_memory.records import Message, as_utc

AUTO, CHAT_MEMORY, OPENAI = "auto", "chat_memory", "openai"

NAMESPACE = uuid.UUID("b9d0b2f4-6f0c-5c39-9a4e-3d1f6f0f2c57")
"""Of the ids of messages that came without one; another value would import every such message anew."""
MAX_BASE_SEQ = 2**53

_FIELDS = ("title", "tags", "metadata", "pinned")
_MOMENTS = ("archived_at", "expires_at")
_OWN_KEYS = {"key", "user_key", "created_at", "base_seq", "messages", "branches", "summaries", *_FIELDS, *_MOMENTS}
_OPENAI_KEYS = {"id", "messages", "metadata"}
_MESSAGE_KEYS = set(Message.__struct_fields__) - {"content_absent"}
_BRANCH_KEYS = {"name", "parent", "fork_seq", "base_seq", "current", "created_at", "messages"}
_SUMMARY_KEYS = {"branch", "first_seq", "last_seq", "text", "model", "created_at"}
_EXTRAS = "openai"
_DEVELOPER = "developer"
_OTHER_LINE_ENDS = "\x85\u2028\u2029"


class BranchLine(msgspec.Struct, frozen=True):
    """A branch on its way between a line and the database: what it shares, and the messages of its own.

    ``base_seq`` is the position its readers see messages after; ``current``: it speaks for the conversation.
    """

    name: str
    parent: str
    fork_seq: int
    base_seq: int
    messages: Sequence[Message]
    current: bool = False
    created_at: datetime | None = None


class SummaryLine(msgspec.Struct, frozen=True):
    """A summary on its way between a line and the database."""

    branch: str
    first_seq: int
    last_seq: int
    text: str
    model: str = ""
    created_at: datetime | None = None


class Transcript(msgspec.Struct, frozen=True):
    """A conversation on its way between a line and the database.

    Attributes:
        key: the session key.
        messages: those of ``main``, oldest first, each with an id.
        user_key: whose conversation it is; "": nobody's.
        created_at: when it began; None: not known.
        base_seq: the position before the first message; those up to it were cleared.
        fields: title, tags, metadata, pinned, archived_at, expires_at, as far as they are set.
        branches: the others, each after the one it shares messages with.
        summaries: of all branches.
    """

    key: str
    messages: Sequence[Message]
    user_key: str = ""
    created_at: datetime | None = None
    base_seq: int = 0
    fields: Mapping[str, Any] = {}
    branches: Sequence[BranchLine] = ()
    summaries: Sequence[SummaryLine] = ()


def read_line(line: bytes, form: str = AUTO) -> Transcript:
    """The conversation of a line; AUTO takes a line with a ``key`` and no ``id`` for our own format.

    Raises:
        ValidationError: what is wrong, with its path. Sizes and values are for ``history.validation`` to judge.
    """
    try:
        record = msgspec.json.decode(line)
        json.loads(line.decode(), object_pairs_hook=object_of)  # msgspec takes the last of two equal names, unsaid
        if not isinstance(record, dict):
            raise ValidationError(f"a line holds one conversation as an object, not {type(record).__name__}")
        own = form == CHAT_MEMORY or (form == AUTO and "key" in record and "id" not in record)
        return _read_own(record) if own else _read_openai(record)
    except RecursionError:
        raise ValidationError("nested too deeply") from None
    except UnicodeDecodeError as error:
        raise ValidationError(f"is not UTF-8: {error.reason}") from None
    except msgspec.MsgspecError as error:
        raise ValidationError(f"is not JSON: {str(error).removeprefix('JSON is malformed: ')}") from None


def write_own(transcript: Transcript) -> bytes:
    """A line of our own format: fixed order, what is empty left out, so that equal conversations are equal bytes."""
    fields = dict(transcript.fields)
    # jsonb does not keep the order of keys, so none is promised: sorted is the same on every database.
    metadata = msgspec.json.encode(fields.get("metadata"), order="sorted") if fields.get("metadata") else b""
    found = {
        "key": transcript.key,
        "title": fields.get("title"),
        "tags": fields.get("tags"),
        "metadata": metadata and msgspec.Raw(metadata),
        "user_key": transcript.user_key,
        "created_at": _iso(transcript.created_at),
        "pinned": fields.get("pinned"),
        "archived_at": _iso(fields.get("archived_at")),
        "expires_at": _iso(fields.get("expires_at")),
        "base_seq": transcript.base_seq,
    }
    line = {name: value for name, value in found.items() if value}
    line["messages"] = [_own_message(message) for message in transcript.messages]
    if transcript.branches:
        line["branches"] = [_own_branch(branch) for branch in transcript.branches]
    if transcript.summaries:
        line["summaries"] = [_own_summary(summary) for summary in transcript.summaries]
    return _line(line)


def write_openai(transcript: Transcript) -> bytes:
    """A line as OpenAI's tools take it: no times, ids or metadata of messages, but the keys an import set aside."""
    line: dict[str, Any] = {
        "id": transcript.key,
        "messages": [_openai_message(message) for message in transcript.messages],
    }
    metadata = transcript.fields.get("metadata")
    return _line(line | ({"metadata": metadata} if metadata else {}))


LINE_WRITERS: Mapping[str, Callable[[Transcript], bytes]] = {CHAT_MEMORY: write_own, OPENAI: write_openai}


def _line(record: dict[str, Any]) -> bytes:
    """One line for every reader: some take these signs, which JSON allows inside text, for the end of a line."""
    line = msgspec.json.encode(record) + b"\n"
    for sign in _OTHER_LINE_ENDS:
        line = line.replace(sign.encode(), ascii(sign)[1:-1].replace("\\x", "\\u00").encode())
    return line


def _read_own(record: dict[str, Any]) -> Transcript:
    _check_keys(record, _OWN_KEYS)
    # null is what other tools write for a value that is not there
    given = {name: value for name, value in record.items() if value is not None}
    key: Any = given.get("key")
    check_key(key)
    user_key = given.get("user_key", "")
    if user_key != "":
        check_key(user_key, "user_key")
    base_seq = _position(given, "base_seq")
    # Left out is empty, as an export leaves it: no title is to be made up for it.
    fields = {"title": ""} | {name: given[name] for name in _FIELDS if name in given}
    fields |= {name: _moment(given[name], name) for name in _MOMENTS if name in given}
    created_at = _moment(given["created_at"], "created_at") if "created_at" in given else None
    messages = _messages(record, uuid.uuid5(NAMESPACE, key))
    branches = _branches(given.get("branches", []), key)
    summaries = _summaries(given.get("summaries", []), {MAIN_BRANCH, *(branch.name for branch in branches)})
    return Transcript(key, messages, user_key, created_at, base_seq, fields, branches, summaries)


def _read_openai(record: dict[str, Any]) -> Transcript:
    key = record.get("id")
    if key is None:
        # A line of a fine-tuning file has no name: what it says names it, whatever the order of its keys.
        digest = hashlib.sha256(msgspec.json.encode(record, order="sorted")).hexdigest()
        key = f"openai-{digest[:32]}"
    check_key(key, "id")
    metadata = {} if record.get("metadata") is None else record["metadata"]
    extras = {name: value for name, value in record.items() if name not in _OPENAI_KEYS and value is not None}
    if extras and isinstance(metadata, dict):
        twice = sorted(extras.keys() & metadata.keys())
        if twice:
            raise ValidationError(f"{twice[0][:40]!r} is a key of the line and of its metadata", field="metadata")
        metadata = metadata | extras
    return Transcript(
        key, _messages(record, uuid.uuid5(NAMESPACE, key)), fields={} if metadata == {} else {"metadata": metadata}
    )


def _branches(items: Any, key: str) -> list[BranchLine]:
    branches: list[BranchLine] = []
    for index, item in enumerate(_objects(items, "branches")):
        with _within(f"branches[{index}]"):
            branches.append(_branch(item, {MAIN_BRANCH, *(branch.name for branch in branches)}, key))
    if sum(branch.current for branch in branches) > 1:
        raise ValidationError("only one can be current", field="branches")
    return branches


def _branch(item: dict[str, Any], known: set[str], key: str) -> BranchLine:
    _check_keys(item, _BRANCH_KEYS)
    if not isinstance(item.get("current", False), bool):
        raise ValidationError("must be true or false", field="current")
    name = _name(item, "name")
    if name in known:
        raise ValidationError(f"there is a branch {name!r} already", field="name")
    parent = _known(item, "parent", known)
    fork_seq = _position(item, "fork_seq")
    base_seq = _position(item, "base_seq")
    messages = _messages(item, uuid.uuid5(uuid.uuid5(NAMESPACE, key), name))
    return BranchLine(name, parent, fork_seq, base_seq, messages, item.get("current") is True, _made_at(item))


def _summaries(items: Any, known: set[str]) -> list[SummaryLine]:
    summaries = []
    for index, item in enumerate(_objects(items, "summaries")):
        with _within(f"summaries[{index}]"):
            _check_keys(item, _SUMMARY_KEYS)
            first_seq, last_seq = _position(item, "first_seq"), _position(item, "last_seq")
            if not 1 <= first_seq <= last_seq:
                raise ValidationError("must be from 1 to last_seq", field="first_seq")
            text, model = _text(item, "text"), item.get("model", "")
            if not text.strip():
                raise ValidationError("must say something", field="text")
            check_model(model)
            branch = _known(item, "branch", known)
            summaries.append(SummaryLine(branch, first_seq, last_seq, text, model, _made_at(item)))
    return summaries


def _check_keys(item: dict[str, Any], known: set[str]) -> None:
    unknown = sorted(item.keys() - known)
    if unknown:
        raise ValidationError(f"this version does not know the key {unknown[0][:40]!r}")


def _objects(items: Any, field: str) -> list[dict[str, Any]]:
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise ValidationError("must be a list of objects", field=field)
    return items


@contextmanager
def _within(path: str) -> Iterator[None]:
    """What is wrong is named by its whole path."""
    try:
        yield
    except ValidationError as error:
        raise ValidationError(error.reason, field=path + (f".{error.field}" if error.field else "")) from None


def _position(item: Mapping[str, Any], field: str) -> int:
    position = item.get(field, 0)
    if type(position) is not int or not 0 <= position <= MAX_BASE_SEQ:
        raise ValidationError(f"must be a whole number from 0 to {MAX_BASE_SEQ}", field=field)
    return position


def _name(item: Mapping[str, Any], field: str) -> str:
    name: Any = item.get(field)
    check_key(name, field, BRANCH_LENGTH)
    return str(name)


def _known(item: Mapping[str, Any], field: str, known: set[str]) -> str:
    """The name of a branch that the line has told of."""
    name = item.get(field, MAIN_BRANCH)
    if not isinstance(name, str) or name not in known:
        raise ValidationError(f"names no branch that comes before it: {str(name)[:40]!r}", field=field)
    return name


def _text(item: Mapping[str, Any], field: str) -> str:
    text = item.get(field, "")
    if not isinstance(text, str) or unstorable(text):
        raise ValidationError("must be text that can be stored", field=field)
    return text


def _made_at(item: Mapping[str, Any]) -> datetime | None:
    made = item.get("created_at")
    return None if made is None else _moment(made, "created_at")


def _messages(record: Mapping[str, Any], session: uuid.UUID) -> list[Message]:
    items = record.get("messages")
    if not isinstance(items, list):
        raise ValidationError("must be a list" if "messages" in record else "is missing", field="messages")
    return [_message(item, session, index) for index, item in enumerate(items)]


def _message(item: Any, session: uuid.UUID, index: int) -> Message:
    try:
        message = Message.from_dict(_with_extras(item))
    except ValidationError as error:
        path = f"messages[{index}]" + (f".{error.field}" if error.field else "")
        raise ValidationError(error.reason, field=path) from None
    if message.id is not None:
        return message
    return msgspec.structs.replace(message, id=str(uuid.uuid5(session, str(index))))


def _with_extras(item: Any) -> Any:
    """A message with what we have no column for (refusal, audio, weight...) set aside in its metadata.

    OpenAI allows no content beside them; we store "" then and note the null, which the way back restores. So it is
    with the role developer, its newer name for system.
    """
    if not isinstance(item, dict):
        return item
    extras = {name: value for name, value in item.items() if name not in _MESSAGE_KEYS and value is not None}
    if item.get("role") == _DEVELOPER:
        item, extras = item | {"role": Role.SYSTEM.value}, extras | {"role": _DEVELOPER}
    metadata = {} if item.get("metadata") is None else item["metadata"]
    if not extras or not isinstance(metadata, dict):
        return item
    if _EXTRAS in metadata:
        raise ValidationError(f"holds {_EXTRAS!r} already, and {min(extras)[:40]!r} would go there", field="metadata")
    bare = item.get("content") is None and not item.get("tool_calls") and item.get("role") == Role.ASSISTANT.value
    empty = {"content": ""} if bare else {}
    noted = {"content": None} if bare else {}
    return item | empty | {"metadata": metadata | {_EXTRAS: extras | noted}}


def _own_branch(branch: BranchLine) -> dict[str, Any]:
    line = {"name": branch.name, "parent": branch.parent, "fork_seq": branch.fork_seq, "base_seq": branch.base_seq}
    line |= {"current": branch.current, "created_at": _iso(branch.created_at)}
    shown = {name: value for name, value in line.items() if value or name == "fork_seq"}
    return shown | {"messages": [_own_message(message) for message in branch.messages]}


def _own_summary(summary: SummaryLine) -> dict[str, Any]:
    """Without the token count, as a message."""
    line = {name: getattr(summary, name) for name in ("branch", "first_seq", "last_seq", "text", "model")}
    line["created_at"] = _iso(summary.created_at)
    return {name: value for name, value in line.items() if value or name == "text"}


def _own_message(message: Message) -> dict[str, Any]:
    """Without the token count, which is derived and depends on the host's counter."""
    shown = message.to_dict()
    shown.pop("tokens", None)
    return shown


def _openai_message(message: Message) -> dict[str, Any]:
    shown = message.to_openai()
    extras = (message.metadata or {}).get(_EXTRAS)
    if not isinstance(extras, dict):
        return shown
    if shown.get("content") == "" and extras.get("content", "") is None:
        shown["content"] = None
    if shown["role"] == Role.SYSTEM.value and extras.get("role") == _DEVELOPER:
        shown["role"] = _DEVELOPER
    return shown | {name: value for name, value in extras.items() if name not in _MESSAGE_KEYS}


def _moment(value: object, field: str) -> datetime | None:
    try:
        return as_utc(msgspec.convert(value, datetime))
    except (msgspec.ValidationError, OverflowError):
        raise ValidationError("must be a time such as 2025-01-31T12:00:00+00:00", field=field) from None


def _iso(moment: datetime | None) -> str | None:
    utc = as_utc(moment)
    return utc.isoformat() if utc else None
