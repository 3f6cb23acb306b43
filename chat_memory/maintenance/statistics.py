"""Owns the counts of what is stored; it must not read the content of messages."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from django.db.models import Count, F, Max, Min

from chat_memory.choices import Role
from chat_memory.maintenance.tenants import database, workspace_id
from chat_memory.models import Message, Session, Workspace
from chat_memory.storage.tenancy import across_workspaces


class Report(msgspec.Struct, frozen=True):
    """What is stored.

    Attributes:
        workspaces: how many there are; 1 where one is asked for.
        sessions: conversations; a branch is part of its conversation.
        messages: those that readers see: cleared ones do not count.
        roles: the messages by role; every role is there.
        oldest: when the first conversation began; None where there is none.
        newest: when a conversation last changed; None where there is none.
    """

    workspaces: int
    sessions: int
    messages: int
    roles: Mapping[str, int]
    oldest: datetime | None
    newest: datetime | None


def collect(workspace: str | None = None, *, using: str | None = None) -> Report:
    """Count everything, or one workspace: three statements whatever there is to count.

    Raises:
        ValidationError: the slug is not one.
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
