"""Owns the event of a committed change, to which the cache, the public signals and automatic summaries listen.

The code that writes to the store emits it once per change and branch, after the commit, and never for a rollback or a
replay. ``changed`` is a Django signal; its sender is the ``source`` of the store (``Adapter.source``), and a receiver
gets the event as the keyword argument ``event``. An error in a receiver is logged under ``django.dispatch`` and has no
other effect.
"""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID

import msgspec
from django.dispatch import Signal

from chat_memory.choices import CURRENT
from chat_memory.records import Commit, Header


class Kind(StrEnum):
    """The kind of a change."""

    OPENED = "opened"
    APPENDED = "appended"
    UPDATED = "updated"
    CLEARED = "cleared"
    DELETED = "deleted"
    FORKED = "forked"
    SWITCHED = "switched"
    EDITED = "edited"
    REDACTED = "redacted"
    POPPED = "popped"
    SUMMARIZED = "summarized"
    RESTORED = "restored"
    RENAMED = "renamed"
    RATED = "rated"


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """One committed change of one branch of a conversation.

    Attributes:
        kind: the kind of the change.
        workspace: the workspace's slug.
        key: the session's key.
        session_id: the id of the branch's row.
        branch: the name of the branch that changed.
        header: the state of the branch after the change; None where the branch was deleted.
        first_seq: the first position that the change affects; None where it affects no positions.
        last_seq: the last position that the change affects; None where it affects no positions.
        made: whether this change created the session.
        commit: the result of an append, an edit or a redaction, with the state before it; None for other kinds, and on
            the branches that share an edited message. Its messages may include replays, which were stored before.
        fields: the names of the fields that were set.
        parent: the branch that a new branch was forked from; "" for other kinds.
        former_key: the key that a renamed session had; "" for other kinds.
        asked: the branch in the writer's Address: a name, or CURRENT.
        cache_ttl: the ``cache_ttl`` of the writer's Address.
        nested: whether the caller had opened a transaction, which may contain several changes; False for a removal.
        using: the database alias; None where the store has no database.
    """

    kind: Kind
    workspace: str
    key: str
    session_id: UUID
    branch: str
    header: Header | None = None
    first_seq: int | None = None
    last_seq: int | None = None
    made: bool = False
    commit: Commit | None = None
    fields: tuple[str, ...] = ()
    parent: str = ""
    former_key: str = ""
    asked: str = CURRENT
    cache_ttl: float | msgspec.UnsetType | None = msgspec.UNSET
    nested: bool = False
    using: str | None = None


changed = Signal(use_caching=True)
"""Sent with a Changed as ``event``; the sender is the source of the store."""

emitted = Signal(use_caching=True)
"""Sent once per ``emit``, before ``changed``, with all events as ``events``.

The cache listens to it: it must drop its entries before any other receiver reads, and drops those of a batch in one
call."""


def emit(source: object, *events: Changed) -> None:
    """Send the events of one committed transaction to all receivers of this store's changes."""
    if not events:
        return
    emitted.send_robust(sender=source, events=events)
    for event in events:
        changed.send_robust(sender=source, event=event)
