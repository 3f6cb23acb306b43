"""Owns what a transcript shows of drafts, the messages being streamed: role, length and times, but not the text."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.db.models import QuerySet

from chat_memory.admin.blocks import shortened
from chat_memory.admin.rows import rows
from chat_memory.conf import settings
from chat_memory.models import Draft, Session
from chat_memory.storage.orm.drafts import with_age

LISTED = 20
"""A page lists at most this many drafts, the oldest ones."""


def open_drafts(family: QuerySet[Session], root: Session) -> dict[str, Any]:
    """The template variables of a conversation's drafts, on all branches; reading them does not end a lapsed draft."""
    found = rows(Draft).filter(workspace_id=root.workspace_id, session__in=family.values("pk"))
    listed = with_age(found.defer("text", "metadata", "client_id"), found.db).select_related("session")
    begun: list[Any] = list(listed.defer("session__metadata", "session__tags").order_by("pk")[: LISTED + 1])
    drafts = [
        {
            "row": row,
            "name": shortened(row.name or ""),
            "branch": row.session.branch,
            "begun": datetime.fromtimestamp(row.begun / 1000, UTC),
            "touched": datetime.fromtimestamp(row.touched / 1000, UTC),
            "is_abandoned": row.age > settings.draft_lapse_seconds * 1000,
        }
        for row in begun[:LISTED]
    ]
    return {"drafts": drafts, "more_drafts": len(begun) > LISTED}
