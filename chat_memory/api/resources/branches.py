"""Owns the API's views of a session's branches."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.http import HttpResponse

from chat_memory.api import lookup
from chat_memory.api.http.pages import Page, show_page
from chat_memory.api.http.request import ChatRequest
from chat_memory.api.http.responses import json_response, show
from chat_memory.api.resources.views import ChatMemoryViewSet
from chat_memory.api.shapes import BranchOut, BranchQuery, ForkIn, NoQuery
from chat_memory.exceptions import BranchNotFound
from chat_memory.rules.names import BRANCH_LENGTH, check_key


class BranchViewSet(ChatMemoryViewSet):
    """Lists and forks the branches of a session."""

    def list(self, request: ChatRequest, slug: str, session_id: str, **_captured: Any) -> HttpResponse:
        """All branches in one page: ``main`` first, the others in the order they were created."""
        request.query_as(NoQuery)
        found = lookup.find_session(request, slug, session_id)
        return json_response(show_page(Page(found.history().branches()), BranchOut))

    def create(self, request: ChatRequest, slug: str, session_id: str, **_captured: Any) -> HttpResponse:
        """Fork the requested branch (201). No message is copied, and the current branch stays current."""
        found = lookup.find_session(request, slug, session_id, request.query_as(BranchQuery).branch)
        found.member.check_write()
        body = request.body_as(ForkIn)
        check_key(body.name, "name", BRANCH_LENGTH)
        chat = found.history()
        chat.fork(body.name, body.at)
        new_branch = next((branch for branch in chat.branches() if branch.name == body.name), None)
        if new_branch is None:
            raise BranchNotFound(chat.key, body.name)
        location = request.build_absolute_uri(f"../messages/?{urlencode({'branch': body.name})}")
        return json_response(show(new_branch, BranchOut), 201, location=location)
