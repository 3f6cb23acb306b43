"""Owns the API's views of workspaces, all read-only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from django.db.models import QuerySet
from django.http import HttpResponse

from chat_memory.api import lookup
from chat_memory.api.http import pages
from chat_memory.api.http.request import ChatRequest
from chat_memory.api.http.responses import json_response, show
from chat_memory.api.queries import NoQuery
from chat_memory.api.resources.views import ChatMemoryViewSet
from chat_memory.api.shapes import RootOut, WorkspaceOut
from chat_memory.models import Workspace
from chat_memory.rules.names import check_workspace


class BySlug(msgspec.Struct, frozen=True):
    """Workspaces in the order of their slugs; a ``pages.Listing``."""

    rows: QuerySet[Workspace]

    def find(self, place: str | None, size: int, *, backwards: bool) -> tuple[Sequence[Workspace], bool]:
        """See ``pages.Listing.find``."""
        rows = self.rows.order_by("-slug" if backwards else "slug")
        if place is not None:
            check_workspace(place)
            rows = rows.filter(**{"slug__lt" if backwards else "slug__gt": place})
        workspaces = list(rows[:size])
        return (workspaces[::-1] if backwards else workspaces), False

    def place_of(self, row: Workspace) -> str:
        """See ``pages.Listing.place_of``."""
        return row.slug


class RootViewSet(ChatMemoryViewSet):
    """The root of the API."""

    def list(self, request: ChatRequest, **_captured: Any) -> HttpResponse:
        """The address of the list of workspaces."""
        request.query_as(NoQuery)
        return json_response(RootOut(request.build_absolute_uri("workspaces/")))


class WorkspaceViewSet(ChatMemoryViewSet):
    """The workspaces the user is a member of."""

    def list(self, request: ChatRequest, **_captured: Any) -> HttpResponse:
        """The user's workspaces, in the order of their slugs."""
        query = request.query_as(pages.CursorQuery)
        return json_response(pages.cut(request, query, BySlug(lookup.workspaces(request)), WorkspaceOut))

    def retrieve(self, request: ChatRequest, slug: str, **_captured: Any) -> HttpResponse:
        """One workspace, with the user's role and grants in it."""
        request.query_as(NoQuery)
        workspace, _member = lookup.find_workspace(request, slug)
        return json_response(show(workspace, WorkspaceOut))
