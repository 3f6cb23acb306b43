"""Owns the filters of the admin's lists, each with a bounded number of choices."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _

from chat_memory.admin.rows import rows
from chat_memory.admin.scope import scope_of
from chat_memory.models import Session, Workspace
from chat_memory.models.workspace import SLUG_PATTERN


class WorkspaceFilter(admin.SimpleListFilter):
    """Filters by workspace slug: offers the first ``offered`` of the user's workspaces, accepts any slug in the URL."""

    title = _("workspace")
    parameter_name = "workspace"
    offered = 100

    def lookups(self, request: HttpRequest, _model_admin: Any) -> list[tuple[str, str]]:
        """The choices: the user's workspaces in the order of their slugs."""
        workspaces = rows(Workspace).filter(scope_of(request).workspaces()).order_by("slug").only("slug", "name")
        return [(workspace.slug, str(workspace)) for workspace in workspaces[: self.offered]]

    def has_output(self) -> bool:
        """Whether to show the filter: there is more than one choice, or one is selected."""
        return len(self.lookup_choices) > 1 or self.value() is not None

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The rows of the selected workspace; none where the slug is unknown."""
        slug = self.value()
        if slug is None:
            return queryset
        workspaces = rows(Workspace).filter(slug=slug) if re.match(SLUG_PATTERN, slug) else rows(Workspace).none()
        return queryset.filter(self.predicate(list(workspaces.values_list("pk", flat=True))))

    def predicate(self, ids: list[int]) -> Q:
        """The condition for rows of the workspaces with these ids."""
        return Q(workspace_id__in=ids)


class SessionWorkspaceFilter(WorkspaceFilter):
    """The workspace filter for messages."""

    def predicate(self, ids: list[int]) -> Q:
        """Includes a subquery on sessions: their index starts with the workspace, that of messages does not."""
        return Q(workspace_id__in=ids, session__in=rows(Session).filter(workspace_id__in=ids))


class StatusFilter(admin.SimpleListFilter):
    """Filters sessions by status."""

    title = _("status")
    parameter_name = "status"
    choices_by_name: ClassVar[dict[str, Any]] = {
        "active": _("active"),
        "pinned": _("pinned"),
        "archived": _("archived"),
        "expired": _("expired"),
    }

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> list[tuple[str, Any]]:
        """The choices, from ``choices_by_name``."""
        return list(self.choices_by_name.items())

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The sessions with the selected status; active means neither archived nor deleted."""
        predicates = {
            "active": Q(archived_at=None, deleted_at=None),
            "pinned": Q(pinned=True),
            "archived": Q(archived_at__isnull=False),
            "expired": Q(expires_at__lte=now()),
        }
        return queryset.filter(predicates.get(self.value() or "", Q()))
