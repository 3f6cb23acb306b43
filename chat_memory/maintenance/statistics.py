"""Owns the counts of stored workspaces, sessions and messages; it must not read the content of messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from django.db.models import Count, F, Max, Min, Sum

from chat_memory.choices import Role
from chat_memory.maintenance.sizes import bytes_of
from chat_memory.maintenance.tenants import database, workspace_id
from chat_memory.models import Message, Session, Workspace
from chat_memory.storage.tenancy import across_workspaces

AT_ONCE = 500
"""How many sessions one statement sums up."""
TEXTS = ("content", "parts", "tool_calls", "metadata", "extra")
"""The columns of a message that may be long."""


class Report(msgspec.Struct, frozen=True):
    """The counts of all workspaces, or of one.

    Attributes:
        workspaces: the number of workspaces; 1 where one was requested.
        sessions: the number of conversations; branches do not count as further ones.
        messages: the number of messages on the branches ``main``; messages hidden by ``clear()`` do not count.
        roles: the number of these messages by role; every role is a key.
        oldest: when the oldest conversation began; None where there is none.
        newest: when a conversation was last changed; None where there is none.
    """

    workspaces: int
    sessions: int
    messages: int
    roles: Mapping[str, int]
    oldest: datetime | None
    newest: datetime | None


def collect(workspace: str | None = None, *, using: str | None = None) -> Report:
    """Count all workspaces, or one; this takes three statements, however many there are.

    Args:
        workspace: the slug of the workspace to count; None: all workspaces.
        using: the database alias; None: the alias to which the router writes sessions.

    Raises:
        ValidationError: ``workspace`` is not a valid slug.
        WorkspaceNotFound: there is no such workspace.
    """
    alias = database(using)
    chosen: dict[str, Any] = {} if workspace is None else {"workspace_id": workspace_id(alias, workspace)}
    with across_workspaces():
        roots = Session.objects.using(alias).roots().filter(**chosen)
        totals = roots.aggregate(sessions=Count("pk"), oldest=Min("created_at"), newest=Max("updated_at"))
        roles = dict.fromkeys(Role.values, 0) | _roles(alias, chosen)
        workspaces = Workspace.objects.using(alias).count() if workspace is None else 1
    return Report(workspaces, totals["sessions"], sum(roles.values()), roles, totals["oldest"], totals["newest"])


def _roles(alias: str, chosen: Mapping[str, Any]) -> dict[str, int]:
    visible = Message.objects.using(alias).filter(
        session__parent__isnull=True, session__deleted_at__isnull=True, seq__gt=F("session__base_seq"), **chosen
    )
    return dict(visible.order_by().values_list("role").annotate(Count("pk")))


def stored_bytes(keys: Sequence[str], *, workspace: str, using: str | None = None) -> int:
    """The stored bytes of the messages of sessions, on all their branches; the texts are not loaded.

    Args:
        keys: the sessions' keys; one statement for each 500.
        workspace: the slug of their workspace; an unknown one has none.
        using: the database alias; None: the alias to which the router writes sessions.
    """
    alias, total = database(using), 0
    for start in range(0, len(keys), AT_ONCE):
        sessions = Session.objects.using(alias).filter(workspace__slug=workspace, key__in=keys[start : start + AT_ONCE])
        held = Message.objects.using(alias).filter(session__in=sessions, workspace__slug=workspace)
        total += held.aggregate(size=Sum(bytes_of(*TEXTS)))["size"] or 0
    return total
