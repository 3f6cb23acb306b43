"""Owns the filters of the lists, each with a bounded number of choices; it must not decide what a user may see."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _

from chat_memory.admin.scope import scope_of
from chat_memory.models import Session, Workspace
from chat_memory.models.workspace import SLUG_PATTERN


class WorkspaceFilter(admin.SimpleListFilter):
    """By workspace, named by slug; the first hundred of the user's are offered, every one can be in the address."""

    title = _("workspace")
    parameter_name = "workspace"
    offered = 100

    def lookups(self, request: HttpRequest, _model_admin: Any) -> list[tuple[str, str]]:
        """The user's workspaces."""
        workspaces = Workspace.objects.filter(scope_of(request).workspaces()).order_by("slug")
        return [(workspace.slug, str(workspace)) for workspace in workspaces[: self.offered]]

    def has_output(self) -> bool:
        """Whether there is a choice to make, or one was made."""
        return len(self.lookup_choices) > 1 or self.value() is not None

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The rows of that workspace."""
        slug = self.value()
        if slug is None:
            return queryset
        found = Workspace.objects.filter(slug=slug) if re.match(SLUG_PATTERN, slug) else Workspace.objects.none()
        return queryset.filter(self.predicate(list(found.values_list("pk", flat=True))))

    def predicate(self, ids: list[int]) -> Q:
        """The rows of those workspaces."""
        return Q(workspace_id__in=ids)


class SessionWorkspaceFilter(WorkspaceFilter):
    """The same for messages."""

    def predicate(self, ids: list[int]) -> Q:
        """Asked through the sessions too: their index knows the workspace, that of messages does not."""
        return Q(workspace_id__in=ids, session__in=Session.objects.filter(workspace_id__in=ids))


class StatusFilter(admin.SimpleListFilter):
    """By what has happened to a session."""

    title = _("status")
    parameter_name = "status"
    choices_by_name: ClassVar[dict[str, Any]] = {
        "active": _("active"),
        "pinned": _("pinned"),
        "archived": _("archived"),
        "expired": _("expired"),
        "deleted": _("deleted"),
    }

    def lookups(self, _request: HttpRequest, _model_admin: Any) -> list[tuple[str, Any]]:
        """The names above."""
        return list(self.choices_by_name.items())

    def queryset(self, _request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The sessions in that state; active is neither archived nor deleted."""
        predicates = {
            "active": Q(archived_at=None, deleted_at=None),
            "pinned": Q(pinned=True),
            "archived": Q(archived_at__isnull=False),
            "expired": Q(expires_at__lte=now()),
            "deleted": Q(deleted_at__isnull=False),
        }
        return queryset.filter(predicates.get(self.value() or "", Q()))
