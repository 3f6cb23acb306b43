"""Owns the record of a session without its messages."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any, TypedDict

import msgspec


class SessionFields(TypedDict, total=False):
    """For type checkers: the fields of a session that callers may set, as keyword arguments."""

    title: str
    tags: list[str]
    metadata: dict[str, Any]
    pinned: bool
    archived_at: datetime | None
    expires_at: datetime | None


class SessionRecord(msgspec.Struct, frozen=True):
    """A session without its messages, as it was at one moment.

    Key, owner, title and times belong to the whole conversation. ``branch`` and the counters belong to the requested
    branch, or to the current one if none was requested.

    Attributes:
        id: the id of the row of ``main``, or of the row of the branch that was named.
        workspace: the slug of the workspace.
        key: the session's key, unique in the workspace.
        branch: the branch that the counters belong to.
        user_key: the owner's key in the host's or another system; "" where there is no owner. It stays when the user is
            deleted.
        title: set by the application, or else made from the first user message; "" where there is none yet.
        tags: the application's tags, for finding the session.
        metadata: a JSON object for the application's own use.
        message_count: the number of visible messages on the branch.
        version: 1 when the branch is created, one more with every change.
        last_seq: the position of the newest message; 0 before there is any.
        base_seq: the last position that ``clear()`` has hidden; 0 where it has hidden none.
        last_turn: the number of turns so far; a user message begins one, unless it is only tool results.
        pinned: whether cleanup keeps the session however long it is idle.
        created_at: when the session was created; for an import, when the conversation began.
        updated_at: when anything in the session last changed.
        active_at: the time of the newest message on any branch; ``created_at`` before there is any. Lists are ordered
            by it.
        archived_at: when the session was archived; None where it is not.
        deleted_at: when the session was marked as deleted; None where it is not.
        expires_at: the time after which cleanup removes the session; None: it does not expire.
        user_id: the primary key of the owner, if the owner is a user of the host.
        vtoken: a new random number with every change; after a restored backup a version number may repeat.
        title_made: whether the title was made from a message; it is then removed together with that message.
        key_from_client: whether a client chose the key through the API; if the server opens the key for another user,
            the session gets another key and that user gets this one.
    """

    id: uuid.UUID
    workspace: str
    key: str
    branch: str
    user_key: str
    title: str
    tags: list[str]
    metadata: dict[str, Any]
    message_count: int
    version: int
    last_seq: int
    base_seq: int
    last_turn: int
    pinned: bool
    created_at: datetime
    updated_at: datetime
    active_at: datetime
    archived_at: datetime | None = None
    deleted_at: datetime | None = None
    expires_at: datetime | None = None
    user_id: Any = None
    vtoken: int = 0
    title_made: bool = False
    key_from_client: bool = False
