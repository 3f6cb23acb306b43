"""Owns the views of a session's branches; it must not touch messages."""

from __future__ import annotations

from urllib.parse import urlencode

from django.http import HttpResponse
from rest_framework.request import Request

from chat_memory.api import lookup, pages
from chat_memory.api.bodies import read_object
from chat_memory.api.incoming import fork_fields
from chat_memory.api.outgoing import branch_body, json_response
from chat_memory.api.views import ChatMemoryViewSet
from chat_memory.exceptions import NotFound


class BranchViewSet(ChatMemoryViewSet):
    """The branches of a session: listed, and forked."""

    def list(self, request: Request, slug: str, session_id: str) -> HttpResponse:
        """All of them, ``main`` first, then as they were made."""
        session, _member = lookup.find_session(request, slug, session_id)
        found = session.history().branches()
        return json_response(pages.envelope([branch_body(each) for each in found], None, None))

    def create(self, request: Request, slug: str, session_id: str) -> HttpResponse:
        """A new branch of the one that is asked for, 201; nothing is copied, and what speaks goes on speaking."""
        session, member = lookup.find_session(request, slug, session_id, lookup.branch_of(request))
        member.check_write()
        name, at = fork_fields(read_object(request))
        chat = session.history()
        chat.fork(name, at)
        made = next((branch for branch in chat.branches() if branch.name == name), None)
        if made is None:
            raise NotFound
        location = request.build_absolute_uri(f"../messages/?{urlencode({'branch': name})}")
        return json_response(branch_body(made), 201, location=location)
