"""Owns finding, locking and making a session row; it must not touch messages."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django.db import connections
from django.db.models import F, Q, QuerySet

from chat_memory.choices import MAIN_BRANCH
from chat_memory.conf import settings
from chat_memory.exceptions import BranchNotFound, SessionNotFound, WorkspaceNotFound
from chat_memory.models import Session, Workspace
from chat_memory.records import Address, uuid7
from chat_memory.storage.base import NOTHING

TOKEN_BITS = 62


def lock(alias: str, at: Address) -> Session | None:
    """The session row, held until the transaction ends; None where there is none."""
    rows = named(alias, at)
    if connections[alias].features.has_select_for_update:
        return rows.select_for_update(no_key=True, of=("self",)).first()
    # SQLite has one writer: a write as first statement takes its lock at once, where a read could not be upgraded.
    return rows.first() if rows.update(version=F("version")) else None


def named(alias: str, at: Address) -> QuerySet[Session]:
    """The rows an address names, at most one."""
    names = Q(workspace__slug=at.workspace, key=at.key, branch=at.branch)
    if at.pinned:
        names &= Q(pk=at.session_id, workspace_id=at.workspace_id)
    return Session.objects.using(alias).filter(names, deleted_at__isnull=True).order_by()


def new_token() -> int:
    """A random version token: unlike a number alone, it tells two histories of equal length apart."""
    return secrets.randbits(TOKEN_BITS)


def create(alias: str, at: Address, fields: Mapping[str, Any] = NOTHING) -> tuple[Session, bool]:
    """The session, made and locked, and whether this call made it: another process may have been faster.

    It is at version 0, as if it were not there, unless ``fields`` say otherwise: an append moves it on.

    Raises:
        BranchNotFound: a branch is made by a fork, never by a write.
        SessionNotFound: the conversation is deleted but still there.
        WorkspaceNotFound: the workspace is unknown and CREATE_WORKSPACES is False.
    """
    if at.pinned:
        raise SessionNotFound(f"conversation {at.key!r} is deleted")
    if at.branch != MAIN_BRANCH:
        raise BranchNotFound(f"conversation {at.key!r} has no branch {at.branch!r}")
    now = datetime.now(UTC)
    given = {"created_at": now, "last_seq": fields.get("base_seq", 0), **fields}
    session = Session(
        id=uuid7(),
        workspace_id=_workspace_id(alias, at.workspace),
        key=at.key,
        user_id=at.user_id,
        user_key=at.user_key,
        vtoken=new_token(),
        updated_at=now,
        **given,
    )
    while True:
        Session.objects.using(alias).bulk_create([session], ignore_conflicts=True)
        made = lock(alias, at)
        if made is not None:
            return made, made.pk == session.pk
        kept = Session.objects.using(alias).filter(workspace_id=session.workspace_id, key=at.key, branch=at.branch)
        if kept.filter(deleted_at__isnull=False).exists():
            raise SessionNotFound(f"conversation {at.key!r} is deleted")
        # Another process had made it, and a third deleted it before the lock was ours.


def _workspace_id(alias: str, slug: str) -> int:
    """The workspace's id; made on first use where the settings allow it.

    Raises:
        WorkspaceNotFound: it is unknown and CREATE_WORKSPACES is False.
    """
    workspaces = Workspace.objects.using(alias)
    found = workspaces.filter(slug=slug).values_list("pk", flat=True).first()
    if found is None:
        if not settings.create_workspaces:
            raise WorkspaceNotFound(f"there is no workspace {slug!r}")
        workspaces.bulk_create([Workspace(slug=slug)], ignore_conflicts=True)
        found = workspaces.values_list("pk", flat=True).get(slug=slug)
    return found
