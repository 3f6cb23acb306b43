"""Owns finding the workspace an operator names; it must not make one."""

from __future__ import annotations

from django.db import router

from chat_memory.exceptions import WorkspaceNotFound
from chat_memory.history.validation import check_workspace
from chat_memory.models import Session, Workspace


def database(using: str | None) -> str:
    """The database alias to work on; None: where the router writes sessions."""
    return using or router.db_for_write(Session)


def workspace_id(alias: str, slug: str) -> int:
    """The id of a workspace that exists.

    Raises:
        ValidationError: the slug is not one.
        WorkspaceNotFound: there is no such workspace.
    """
    check_workspace(slug)
    found = Workspace.objects.using(alias).filter(slug=slug).values_list("pk", flat=True).first()
    if found is None:
        raise WorkspaceNotFound(f"there is no workspace {slug!r}")
    return found
