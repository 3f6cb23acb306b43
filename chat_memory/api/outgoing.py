"""Owns the JSON shapes of what the API answers, encoded past DRF's serializers; it must not query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from django.http import HttpResponse

from chat_memory.api.bodies import MEDIA_TYPE
from chat_memory.models import Session, Workspace
from chat_memory.records import Branch, Message, SessionRecord
from chat_memory.storage.mapping import to_json

_encode = msgspec.json.Encoder(enc_hook=str).encode


def message_body(said: Message | Sequence[Message]) -> msgspec.Raw:
    """One message, or a list of them, written already."""
    return msgspec.Raw(to_json(said))


SESSION_MEMBERS = (
    "id",
    "key",
    "user_key",
    "title",
    "tags",
    "metadata",
    "pinned",
    "archived_at",
    "expires_at",
    "message_count",
    "last_seq",
    "version",
    "created_at",
    "updated_at",
)


COUNTERS = frozenset({"message_count", "last_seq", "version"})


def session_body(session: Session | SessionRecord) -> dict[str, Any]:
    """The shape of a session, from its row or its record; the counters are those of the branch that speaks."""
    speaker = (session.head or session) if isinstance(session, Session) else session
    return {name: getattr(speaker if name in COUNTERS else session, name) for name in SESSION_MEMBERS}


BRANCH_MEMBERS = (
    "name",
    "parent",
    "fork_seq",
    "last_seq",
    "message_count",
    "version",
    "current",
    "created_at",
    "updated_at",
)


def branch_body(branch: Branch) -> dict[str, Any]:
    """The shape of a branch."""
    return {name: getattr(branch, name) for name in BRANCH_MEMBERS}


WORKSPACE_MEMBERS = ("slug", "name", "role", "may_send_system", "may_send_tool", "created_at")


def workspace_body(workspace: Workspace) -> dict[str, Any]:
    """The shape of a workspace, with what the asking member may do in it."""
    return {name: getattr(workspace, name) for name in WORKSPACE_MEMBERS}


def json_response(body: Any, status: int = 200, etag: str | None = None, location: str | None = None) -> HttpResponse:
    """A response of JSON bytes."""
    response = HttpResponse(_encode(body), status=status, content_type=MEDIA_TYPE)
    if etag is not None:
        response["ETag"] = etag
    if location is not None:
        response["Location"] = location
    return response
