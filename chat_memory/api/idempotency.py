"""Owns ids derived from ``Idempotency-Key``, so that a retry is a replay without a table; it must not store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID, uuid5

import msgspec
from rest_framework.request import Request

from chat_memory.api.problems import Refusal, bad_request
from chat_memory.records import Message, SessionRecord

LONGEST = 255
HEADER = "Idempotency-Key"
_NEW: Mapping[str, Any] = {
    "title": "",
    "tags": [],
    "metadata": {},
    "pinned": False,
    "archived_at": None,
    "expires_at": None,
}
_SESSION_KEYS = UUID("0e4ce3a2-6a51-5d0c-9c5f-6a3b0f1d8e27")


def with_ids(request: Request, session_id: UUID, messages: Sequence[Message]) -> Sequence[Message]:
    """The messages, those without an id named after user, session, Idempotency-Key and index.

    Raises:
        Refusal: 400, the header is empty or too long.
    """
    key = _header(request)
    if key is None:
        return messages
    return [
        msgspec.structs.replace(message, id=_derived(session_id, request.user.pk, key, index))
        if message.id is None
        else message
        for index, message in enumerate(messages)
    ]


def session_key(request: Request, workspace: str) -> str | None:
    """The key of a session made without one, named after user, workspace and Idempotency-Key; None without the header.

    Raises:
        Refusal: 400, the header is empty or too long.
    """
    key = _header(request)
    return None if key is None else _derived(_SESSION_KEYS, request.user.pk, key, workspace)


def check_retry(session: SessionRecord, user_key: str, fields: Mapping[str, Any]) -> None:
    """A retry describes the session that its key made, whose own members are the only memory of the first attempt.

    Raises:
        Refusal: 409, it describes another one, or the session was changed meanwhile.
    """
    described = {"user_key": user_key, **_NEW, **fields}
    if not described["title"] and session.last_turn:
        del described["title"]  # the first user has named it since
    if any(getattr(session, name) != value for name, value in described.items()):
        raise Refusal(409, "This key made a session unlike this one.", code="idempotency_conflict", field=HEADER)


def _header(request: Request) -> str | None:
    key = request.headers.get(HEADER)
    if key is not None and not 1 <= len(key) <= LONGEST:
        raise bad_request(f"Must be 1 to {LONGEST} characters.", HEADER)
    return key


def _derived(namespace: UUID, user_id: Any, *parts: Any) -> str:
    """As JSON, since no separator would be safe in parts that may hold anything."""
    return str(uuid5(namespace, msgspec.json.encode([str(user_id), *parts]).decode()))
