"""Owns the lookup of the database and the workspace that an operator names; it never creates a workspace."""

from __future__ import annotations

from django.db import router

from chat_memory.exceptions import WorkspaceNotFound
from chat_memory.models import Session, Workspace
from chat_memory.rules.names import check_workspace


def database(using: str | None) -> str:
    """``using``, or the database alias to which the router writes sessions if it is None."""
    return using or router.db_for_write(Session)


def workspace_id(alias: str, slug: str) -> int:
    """The id of the workspace with this slug.

    Raises:
        ValidationError: ``slug`` is not a valid slug.
        WorkspaceNotFound: there is no such workspace.
    """
    check_workspace(slug)
    ident = Workspace.objects.using(alias).filter(slug=slug).values_list("pk", flat=True).first()
    if ident is None:
        raise WorkspaceNotFound(slug)
    return ident
