"""Owns the views of workspaces, which the API shows and never changes; it must not touch sessions."""

from __future__ import annotations

from typing import Annotated

import msgspec
from django.http import HttpResponse
from rest_framework.request import Request

from chat_memory.api import lookup, pages
from chat_memory.api.outgoing import json_response, workspace_body
from chat_memory.api.views import ChatMemoryViewSet

Slug = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{1,100}$")]
BY_SLUG = pages.Order(("slug",), tuple[bool, Slug], descending=False)


class RootViewSet(ChatMemoryViewSet):
    """Where the API begins."""

    def list(self, request: Request) -> HttpResponse:
        """The address of the workspaces."""
        return json_response({"workspaces": request.build_absolute_uri("workspaces/")})


class WorkspaceViewSet(ChatMemoryViewSet):
    """The workspaces the user is a member of."""

    def list(self, request: Request) -> HttpResponse:
        """All of them by slug."""
        found, following, previous = pages.cut(request, lookup.workspaces(request), BY_SLUG)
        return json_response(pages.envelope([workspace_body(each) for each in found], following, previous))

    def retrieve(self, request: Request, slug: str) -> HttpResponse:
        """One of them, with what the user may do in it."""
        workspace, _member = lookup.find_workspace(request, slug)
        return json_response(workspace_body(workspace))
