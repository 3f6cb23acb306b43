"""Owns which conversations are due for removal, and which of their messages; it removes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from django.db.models import Exists, OuterRef, Q, QuerySet

from chat_memory.conf import settings
from chat_memory.exceptions import ValidationError
from chat_memory.maintenance.tenants import database, workspace_id
from chat_memory.models import Session
from chat_memory.rules.json_values import shown
from chat_memory.storage.tenancy import across_workspaces

MAX_DAYS = 36_500
_PAGE = 10_000


class Doomed(msgspec.Struct, frozen=True):
    """A conversation that is due for removal."""

    workspace: str
    key: str


class Policy(msgspec.Struct, frozen=True):
    """What is due for removal, fixed when the run begins: times in UTC, and one workspace or all."""

    idle_since: datetime
    expired_at: datetime
    cleared_at: datetime
    workspace_id: int | None = None

    def conversations(self, alias: str) -> QuerySet[Session]:
        """The idle conversations, unless they are pinned, and those past their own expiry."""
        # ``listed_at``, the indexed copy of ``active_at``, may lag, so it only narrows the search.
        idle = Q(listed_at__lt=self.idle_since, active_at__lt=self.idle_since, pinned=False)
        rows = Session.objects.using(alias).roots()
        return rows.filter(idle | Q(expires_at__lte=self.expired_at), **self.tenant)

    def cleared(self, alias: str) -> QuerySet[Session]:
        """The rows with messages cleared long enough ago; not those with branches, which may still show these."""
        branches = Session.objects.using(alias).filter(parent_id=OuterRef("pk"))
        rows = Session.objects.using(alias).filter(**self.tenant)
        return rows.filter(~Exists(branches), base_seq__gt=0, cleared_at__lt=self.cleared_at)

    @property
    def tenant(self) -> dict[str, Any]:
        """The condition for rows of the workspace, or of all workspaces."""
        return {} if self.workspace_id is None else {"workspace_id": self.workspace_id}


def policy(alias: str, days: int | None, workspace: str | None) -> Policy:
    """The policy of a run that begins now.

    Raises:
        ValidationError: no days, or a number out of range.
        WorkspaceNotFound: there is no such workspace.
    """
    idle_days, source = (settings.retention_days, "RETENTION_DAYS") if days is None else (days, "days")
    if idle_days is None:
        raise ValidationError("must be given, since RETENTION_DAYS is not set", field="days")
    if type(idle_days) is not int or not 1 <= idle_days <= MAX_DAYS:
        raise ValidationError(f"must be a whole number from 1 to {MAX_DAYS}, not {shown(idle_days)}", field=source)
    now = datetime.now(UTC)
    cleared_at = now - timedelta(days=settings.cleared_days)
    tenant = None if workspace is None else workspace_id(alias, workspace)
    return Policy(now - timedelta(days=idle_days), now, cleared_at, tenant)


def preview(days: int | None = None, *, workspace: str | None = None, using: str | None = None) -> Iterator[Doomed]:
    """The conversations that ``clean_up`` would remove, without changing anything.

    Raises:
        ValidationError: no days, or a number out of range.
        WorkspaceNotFound: there is no such workspace.
    """
    alias = database(using)
    return _listed(policy(alias, days, workspace).conversations(alias))


def _listed(rows: QuerySet[Session]) -> Iterator[Doomed]:
    rows = rows.order_by("pk").select_related("workspace").only("key", "workspace__slug")
    page = _page(rows)
    while page:
        yield from (Doomed(row.workspace.slug, row.key) for row in page)
        page = _page(rows.filter(pk__gt=page[-1].pk))


def _page(rows: QuerySet[Session]) -> list[Session]:
    # Here, not around the generator above: the permission would also cover its caller's statements between two pages.
    with across_workspaces():
        return list(rows[:_PAGE])
