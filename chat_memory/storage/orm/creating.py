"""Owns the creation of a conversation's first row, and the renaming of a session that must give up its key."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django.db import IntegrityError, transaction

from chat_memory.choices import MAIN_BRANCH
from chat_memory.exceptions import BranchNotFound, SessionNotFound, WorkspaceNotFound
from chat_memory.models import Session
from chat_memory.records import Address, uuid7
from chat_memory.rules.names import yielded_key
from chat_memory.storage.changed import Kind
from chat_memory.storage.contract import NO_FIELDS
from chat_memory.storage.orm import hints
from chat_memory.storage.orm.emission import changed_row
from chat_memory.storage.orm.owning import is_reached
from chat_memory.storage.orm.rows import (
    Rows,
    family,
    header_of,
    known_workspace,
    lock,
    move,
    new_token,
    workspace_id,
)


def create(alias: str, at: Address, fields: Mapping[str, Any] = NO_FIELDS, *, nested: bool) -> tuple[Rows, bool]:
    """Create and lock the root of a conversation; the flag is False if another process created it first.

    It is at version 0, as if it did not exist, unless ``fields`` set the version; the append then increases it. If a
    session of somebody else has the key because a client chose it, that session gets another key first.

    Raises:
        BranchNotFound: the address names a branch other than ``main``, and only a fork creates branches.
        NotOwner: the conversation belongs to somebody else than the address' user.
        SessionNotFound: the address is pinned to one session, or the conversation is soft-deleted.
        WorkspaceNotFound: the workspace is unknown and CREATE_WORKSPACES is False, or it is not the one that
            the address is pinned to.
    """
    if not at.means_whole:
        raise BranchNotFound(at.key, at.branch)
    if at.pinned and at.session_id is not None:
        raise SessionNotFound(at.key, at.workspace)
    session = _unsaved(alias, at, fields)
    while True:
        Session.objects.using(alias).bulk_create([session], ignore_conflicts=True)
        made = lock(alias, at)
        if made is not None:
            return made, made.root.pk == session.pk
        kept = Session.objects.using(alias).filter(workspace_id=session.workspace_id, key=at.key, branch=MAIN_BRANCH)
        if kept.filter(deleted_at__isnull=False).exists():
            raise SessionNotFound(at.key, at.workspace)
        # Another process created it, and a third one deleted it before we had the lock; or a client chose its key.
        yielding = _yields(alias, at)
        if yielding is not None:
            give_way(alias, at, yielding, nested=nested)


def give_way(alias: str, at: Address, root: Session, *, nested: bool) -> None:
    """Give a locked conversation, whose key a client chose, another key, so that the address' user gets the key.

    Its branches and messages stay as they are; callers that use its id see no other change.
    """
    rows = Session.objects.using(alias).filter(workspace_id=root.workspace_id, key=root.key)
    key = yielded_key(root.key, str(root.pk))
    while True:
        try:
            with transaction.atomic(using=alias):
                rows.update(key=key)
            break
        except IntegrityError:  # a client has taken that key too
            key = yielded_key(root.key, f"{root.pk}-{secrets.token_hex(8)}")
    move(root, key=key)
    hints.forget(alias, at)
    for row in family(root).order_by("pk"):
        changed_row(alias, Kind.RENAMED, at, row, header_of(row), nested=nested, former_key=at.key)


def _yields(alias: str, at: Address) -> Session | None:
    """The locked root of the conversation that must give up its key to the address' user; None where there is none."""
    found = lock(alias, Address(at.workspace, at.key, MAIN_BRANCH)) if at.is_checked else None
    return found.root if found and not is_reached(at, found.root) else None


def _home(alias: str, at: Address) -> int:
    """The id of the workspace of a new conversation, which is held.

    Raises:
        WorkspaceNotFound: see ``create``.
    """
    if not at.pinned:
        return workspace_id(alias, at.workspace)
    found = known_workspace(alias, at.workspace)
    if found is None or found != at.workspace_id:
        raise WorkspaceNotFound(at.workspace)
    return found


def _unsaved(alias: str, at: Address, fields: Mapping[str, Any]) -> Session:
    now = datetime.now(UTC)
    given = {"created_at": now, "last_seq": fields.get("base_seq", 0), **fields}
    return Session(
        id=uuid7(),
        workspace_id=_home(alias, at),
        key=at.key,
        user_id=at.user_id,
        user_key=at.user_key,
        vtoken=new_token(),
        updated_at=now,
        active_at=given["created_at"],
        listed_at=given["created_at"],
        **given,
    )
