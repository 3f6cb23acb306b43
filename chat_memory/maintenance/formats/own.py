"""Owns our own line format, which holds all of a conversation; equal conversations give equal bytes."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec

from chat_memory.choices import AT_ONCE, MAIN_BRANCH, Pending
from chat_memory.exceptions import ValidationError
from chat_memory.fields import SETTABLE, SETTABLE_MOMENTS
from chat_memory.maintenance.formats import json_lines, messages
from chat_memory.maintenance.formats.shapes import shaped, utc
from chat_memory.maintenance.formats.values import normal
from chat_memory.records import Message, Transcript, TranscriptBranch, TranscriptFeedback, TranscriptSummary, as_utc
from chat_memory.rules.feedback import verdict
from chat_memory.rules.json_values import shown, unstorable
from chat_memory.rules.names import BRANCH_LENGTH, check_key, check_model

MAX_POSITION = 2**53
"""Larger numbers lose precision in some JSON parsers."""
Position = Annotated[int, msgspec.Meta(ge=0, le=MAX_POSITION)]


class _Branch(msgspec.Struct, forbid_unknown_fields=True):
    """A branch of a line; its messages are those after the fork."""

    name: str
    messages: Any
    parent: str = MAIN_BRANCH
    fork_seq: Position = 0
    base_seq: Position = 0
    current: bool = False
    created_at: datetime | None = None
    pending: str = ""


class _Summary(msgspec.Struct, forbid_unknown_fields=True):
    """A summary of a line."""

    text: str = ""
    branch: str = MAIN_BRANCH
    first_seq: Position = 0
    last_seq: Position = 0
    model: str = ""
    created_at: datetime | None = None


class _Feedback(msgspec.Struct, forbid_unknown_fields=True):
    """One person's feedback on a message of the line, which is named by its id."""

    message_id: str
    vote: int
    user_key: str
    branch: str = MAIN_BRANCH
    comment: str = ""
    created_at: datetime | None = None
    updated_at: datetime | None = None


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    """A line; fields of type Any are checked by ``rules``, with the same checks as for the Python and HTTP APIs."""

    key: str
    messages: Any
    title: Any = ""
    tags: Any = msgspec.UNSET
    metadata: Any = msgspec.UNSET
    user_key: str = ""
    created_at: datetime | None = None
    pinned: Any = msgspec.UNSET
    archived_at: datetime | msgspec.UnsetType = msgspec.UNSET
    expires_at: datetime | msgspec.UnsetType = msgspec.UNSET
    base_seq: Position = 0
    branches: list[_Branch] = []
    summaries: list[_Summary] = []
    feedback: list[_Feedback] = []


def read(record: dict[str, Any]) -> Transcript:
    """The conversation of a line; without a title it has none, because an export leaves out an empty title.

    Raises:
        ValidationError: the line has the wrong form; the error names the path. Sizes and values are checked later.
    """
    # Other tools write null for a missing value.
    line = shaped({name: normal(value, name) for name, value in record.items() if value is not None}, _Line)
    check_key(line.key)
    if line.user_key:
        check_key(line.user_key, "user_key")
    settable = {name: getattr(line, name) for name in SETTABLE if getattr(line, name) is not msgspec.UNSET}
    fields = {name: utc(value, name) if name in SETTABLE_MOMENTS else value for name, value in settable.items()}
    session = uuid.uuid5(messages.NAMESPACE, line.key)
    main = messages.read(line.messages, session)
    branches = _branches(line.branches, session)
    summaries = _summaries(line.summaries, {MAIN_BRANCH, *(branch.name for branch in branches)})
    feedback = _feedback(line.feedback, {MAIN_BRANCH: main, **{branch.name: branch.messages for branch in branches}})
    began = utc(line.created_at, "created_at")
    return Transcript(line.key, main, line.user_key, began, line.base_seq, fields, branches, summaries, feedback)


def write(transcript: Transcript) -> bytes:
    """The line of a conversation, in a fixed order and without empty values."""
    fields = dict(transcript.fields)
    # jsonb does not keep the order of keys; sorted, the bytes are the same on every database.
    metadata = msgspec.json.encode(fields.get("metadata"), order="sorted") if fields.get("metadata") else b""
    fixed = {
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
    line = {name: value for name, value in fixed.items() if value}
    line["messages"] = [messages.to_own(message) for message in transcript.messages]
    if transcript.branches:
        line["branches"] = [_branch_record(branch) for branch in transcript.branches]
    if transcript.summaries:
        line["summaries"] = [_summary_record(summary) for summary in transcript.summaries]
    if transcript.feedback:
        line["feedback"] = [_feedback_record(each) for each in transcript.feedback]
    return json_lines.write(line)


def _branches(items: Sequence[_Branch], session: uuid.UUID) -> list[TranscriptBranch]:
    branches: list[TranscriptBranch] = []
    for index, item in enumerate(items):
        try:
            branches.append(_branch(item, {MAIN_BRANCH, *(branch.name for branch in branches)}, session))
        except ValidationError as error:
            raise error.under(f"branches[{index}]") from None
    current = [branch.name for branch in branches if branch.current]
    if len(current) > 1:
        raise ValidationError(f"only one can be current, not {current[0]!r} and {current[1]!r}", field="branches")
    return branches


def _branch(item: _Branch, known: set[str], session: uuid.UUID) -> TranscriptBranch:
    name = item.name
    check_key(name, "name", BRANCH_LENGTH)
    if name in known:
        raise ValidationError(f"there is a branch {name!r} already", field="name")
    _check_known(item.parent, known, "parent")
    own = messages.read(item.messages, uuid.uuid5(session, name))
    began = utc(item.created_at, "created_at")
    _check_pending(item)
    return TranscriptBranch(name, item.parent, item.fork_seq, item.base_seq, own, item.current, began, item.pending)


def _check_pending(item: _Branch) -> None:
    """Check ``pending``, which says when a branch becomes the current one.

    Raises:
        ValidationError: the value is unknown, the branch is current, or it has the message that it should wait for.
    """
    if item.pending not in ("", *Pending.values):
        raise ValidationError(f"must be one of {', '.join(Pending.values)}, not {shown(item.pending)}", field="pending")
    if item.pending and (item.current or (item.messages and item.pending in AT_ONCE)):
        raise ValidationError("is only for a branch that is not current and still waits for a message", field="pending")


def _summaries(items: Sequence[_Summary], branches: set[str]) -> list[TranscriptSummary]:
    summaries = []
    for index, item in enumerate(items):
        try:
            summaries.append(_summary(item, branches))
        except ValidationError as error:
            raise error.under(f"summaries[{index}]") from None
    return summaries


def _summary(item: _Summary, branches: set[str]) -> TranscriptSummary:
    if not 1 <= item.first_seq <= item.last_seq:
        raise ValidationError(f"must be from 1 to last_seq {item.last_seq}, not {item.first_seq}", field="first_seq")
    if not item.text.strip() or unstorable(item.text):
        raise ValidationError("must be text that is not blank and can be stored", field="text")
    check_model(item.model)
    _check_known(item.branch, branches, "branch")
    kept = utc(item.created_at, "created_at")
    return TranscriptSummary(item.branch, item.first_seq, item.last_seq, item.text, item.model, kept)


def _feedback(items: Sequence[_Feedback], messages_of: Mapping[str, Sequence[Message]]) -> list[TranscriptFeedback]:
    ids = {message.id for messages in messages_of.values() for message in messages} if items else set()
    feedback = []
    for index, item in enumerate(items):
        try:
            _check_known(item.branch, set(messages_of), "branch")
            if item.message_id not in ids:
                raise ValidationError(f"names no message of the line: {item.message_id[:40]!r}", field="message_id")  # noqa: TRY301
            feedback.append(_feedback_of(item))
        except ValidationError as error:
            raise error.under(f"feedback[{index}]") from None
    return feedback


def _feedback_of(item: _Feedback) -> TranscriptFeedback:
    said = verdict(item.vote, item.comment)
    check_key(item.user_key, "user_key")
    moments = {name: utc(getattr(item, name), name) for name in ("created_at", "updated_at")}
    return TranscriptFeedback(item.branch, item.message_id, said.vote, item.user_key, said.comment, **moments)


def _check_known(name: str, known: set[str], field: str) -> None:
    if name not in known:
        raise ValidationError(f"must be main or a branch that the line lists before, not {name[:40]!r}", field=field)


def _branch_record(branch: TranscriptBranch) -> dict[str, Any]:
    line = {"name": branch.name, "parent": branch.parent, "fork_seq": branch.fork_seq, "base_seq": branch.base_seq}
    line |= {"current": branch.current, "created_at": _iso(branch.created_at), "pending": branch.pending}
    filled = {name: value for name, value in line.items() if value or name == "fork_seq"}
    return filled | {"messages": [messages.to_own(message) for message in branch.messages]}


def _summary_record(summary: TranscriptSummary) -> dict[str, Any]:
    """The summary without its token count, which, as with messages, depends on the host's counter."""
    line = {name: getattr(summary, name) for name in ("branch", "first_seq", "last_seq", "text", "model")}
    line["created_at"] = _iso(summary.created_at)
    return {name: value for name, value in line.items() if value or name == "text"}


def _feedback_record(feedback: TranscriptFeedback) -> dict[str, Any]:
    """The feedback without its language model, which the message names."""
    line = {name: getattr(feedback, name) for name in ("branch", "message_id", "vote", "user_key", "comment")}
    line |= {name: _iso(getattr(feedback, name)) for name in ("created_at", "updated_at")}
    return {name: value for name, value in line.items() if value}


def _iso(moment: datetime | None) -> str | None:
    utc_moment = as_utc(moment)
    return utc_moment.isoformat() if utc_moment else None
