"""Owns finding the database and the workspace that an operator names; an unknown workspace is never made."""

from __future__ import annotations

from django.db import router

from chat_memory.exceptions import WorkspaceNotFound
from chat_memory.models import Session, Workspace
from chat_memory.rules.names import check_workspace


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
    ident = Workspace.objects.using(alias).filter(slug=slug).values_list("pk", flat=True).first()
    if ident is None:
        raise WorkspaceNotFound(slug)
    return ident
