"""Owns the records of changed messages for syncing readers; they are written under the conversation's lock."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db.models import Max

from chat_memory.models import Message as MessageRow, MessageChange, Session
from chat_memory.records import Message
from chat_memory.storage.orm.rows import new_token
from chat_memory.storage.syncing import MOST_CHANGES, Noted, digest


def note_rewritten(alias: str, root: Session, stored: Sequence[MessageRow]) -> None:
    """Record that stored messages of a locked conversation were edited or redacted."""
    _note(alias, root, [{"row": each.session_id, "seq": each.seq} for each in stored])


def note_taken(alias: str, root: Session, row_id: UUID, message: Message) -> None:
    """Record that a message was removed from the end of a row of a locked conversation."""
    taken = digest(message.id, message.created_at)
    _note(alias, root, [{"row": row_id, "seq": message.seq, "taken": taken}])


def noted(alias: str, root: Session, since: int) -> list[Noted]:
    """The change with a number and later ones, oldest first; at most one more than a reader may be behind by."""
    rows = _of(alias, root).filter(number__gte=since).order_by("number")
    found = rows.values_list("number", "vtoken", "row", "seq", "taken")
    return [Noted(*columns) for columns in found[: MOST_CHANGES + 2]]


def newest(alias: str, root: Session) -> Noted | None:
    """The last change of a conversation."""
    found = _of(alias, root).order_by("-number").values_list("number", "vtoken", "row", "seq", "taken")
    return next((Noted(*columns) for columns in found[:1]), None)


def _of(alias: str, root: Session) -> Any:
    return MessageChange.objects.using(alias).filter(session_id=root.pk, workspace_id=root.workspace_id)


def _note(alias: str, root: Session, places: Sequence[dict[str, Any]]) -> None:
    number = _of(alias, root).aggregate(last=Max("number"))["last"] or 0
    shared = {"workspace_id": root.workspace_id, "session_id": root.pk, "changed_at": datetime.now(UTC)}
    MessageChange.objects.using(alias).bulk_create(
        MessageChange(number=number + index, vtoken=new_token(), **shared, **place)
        for index, place in enumerate(places, 1)
    )
