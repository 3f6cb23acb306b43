"""Owns a conversation's metadata: which keys are stored, which are derived, and how changes are merged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from chat_memory.exceptions import SessionNotFound, ValidationError, VersionConflict
from chat_memory.history.conversation import Conversation
from chat_memory.providers.messages import plain_json
from chat_memory.records import SessionRecord
from chat_memory.rules.limits import limits
from chat_memory.rules.session import check_session_fields

OWNER = "user_id"
TRACE = "trace_id"
_DERIVED = frozenset({"updated_at", "last_activity", "total_messages"})
"""Keys that are never stored, because they would soon be outdated."""
_ATTEMPTS = 100
"""The most attempts to change metadata while others change the conversation."""

Metadata = dict[str, Any]


def to_store(given: Mapping[str, Any] | None) -> Metadata:
    """Metadata as JSON, without derived keys.

    Raises:
        ValidationError: it cannot be stored.
    """
    if given is not None and not isinstance(given, Mapping):
        raise ValidationError(f"must be an object, not {type(given).__name__}", field="metadata")
    plain: Metadata = plain_json(dict(given or {}), "metadata")
    kept = {key: value for key, value in plain.items() if key not in _DERIVED}
    check_session_fields({"metadata": kept}, limits())
    return kept


def owner_in(metadata: Mapping[str, Any]) -> str | None:
    """The owner that metadata names, as text; None if it names none."""
    owner = metadata.get(OWNER)
    return None if owner in (None, "") else str(owner)


def owner_of(record: SessionRecord) -> str | None:
    """The owner of a conversation, otherwise the user that its metadata names."""
    return record.user_key or owner_in(record.metadata)


def to_show(record: SessionRecord) -> Metadata:
    """A conversation's metadata, with the derived keys."""
    active = record.active_at.isoformat()
    derived = {"updated_at": active, "last_activity": active, "total_messages": record.message_count}
    owner = {OWNER: record.user_key} if record.user_key and owner_in(record.metadata) is None else {}
    return {"created_at": record.created_at.isoformat()} | record.metadata | owner | derived


def merge(
    chat: Conversation, changed: Callable[[Metadata], Mapping[str, Any]], record: SessionRecord | None = None
) -> SessionRecord:
    """Set keys of a conversation's metadata, keeping those that others set at the same time.

    Args:
        chat: the conversation.
        changed: returns the keys to set, from the stored metadata.
        record: the session, if the caller has just read it.

    Raises:
        SessionNotFound: there is no such conversation.
        VersionConflict: others kept changing it.
    """
    conflict: VersionConflict | None = None
    for _attempt in range(_ATTEMPTS):
        record = record or chat.session()
        if record is None:
            raise SessionNotFound(chat.key, chat.workspace)
        merged = record.metadata | dict(changed(record.metadata))
        if merged == record.metadata:
            return record
        try:
            return chat.update(metadata=merged, if_version=record.version)
        except VersionConflict as error:
            conflict, record = error, None
    assert conflict is not None  # noqa: S101  # there was at least one attempt
    raise conflict
