"""Owns the API's views of drafts, the messages that are being streamed: to follow one, and to stop its writer."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse

from chat_memory.api import lookup
from chat_memory.api.http.pages import Page
from chat_memory.api.http.request import ChatRequest
from chat_memory.api.http.responses import json_response, show
from chat_memory.api.queries import BranchQuery, DraftByIdQuery, DraftQuery, DraftStopQuery, NoQuery
from chat_memory.api.resources.views import ChatMemoryViewSet
from chat_memory.api.shapes import DraftOut, DraftTextOut
from chat_memory.rules.drafts import LARGEST_TEXT


class DraftViewSet(ChatMemoryViewSet):
    """Lists, shows and stops the drafts of a session."""

    def list(self, request: ChatRequest, slug: str, session_id: str, **_captured: Any) -> HttpResponse:
        """All drafts of the session, on any branch, without their texts; one page, because there are few."""
        request.query_as(NoQuery)
        found = lookup.find_session(request, slug, session_id)
        return json_response(Page([show(draft, DraftOut) for draft in found.history().drafts.entries()]))

    def retrieve(
        self, request: ChatRequest, slug: str, session_id: str, draft_id: str, **_captured: Any
    ) -> HttpResponse:
        """One draft with its text from ``?after=`` on, also after it became a message."""
        return _shown(request, slug, session_id, draft_id, request.query_as(DraftQuery))

    def retrieve_by_id(self, request: ChatRequest, slug: str, session_id: str, **_captured: Any) -> HttpResponse:
        """The same by ``?id=``, because a path cannot hold every id."""
        query = request.query_as(DraftByIdQuery)
        return _shown(request, slug, session_id, query.id, query)

    def stop(self, request: ChatRequest, slug: str, session_id: str, draft_id: str, **_captured: Any) -> HttpResponse:
        """Ask the writer to stop (200); the response is the draft without its text, and its state shows if it ended."""
        return _stopped(request, slug, session_id, draft_id, request.query_as(BranchQuery).branch)

    def stop_by_id(self, request: ChatRequest, slug: str, session_id: str, **_captured: Any) -> HttpResponse:
        """The same by ``?id=``."""
        query = request.query_as(DraftStopQuery)
        return _stopped(request, slug, session_id, query.id, query.branch)


def _shown(request: ChatRequest, slug: str, session_id: str, draft_id: str, query: DraftQuery) -> HttpResponse:
    found = lookup.find_session(request, slug, session_id, query.branch).on_its_branch
    return json_response(show(found.history().drafts.get(draft_id, query.after), DraftTextOut))


def _stopped(request: ChatRequest, slug: str, session_id: str, draft_id: str, branch: str | None) -> HttpResponse:
    found = lookup.find_session(request, slug, session_id, branch).on_its_branch
    found.member.check_write(own=found.own)
    drafts = found.history().drafts
    drafts.stop(draft_id)
    return json_response(show(drafts.get(draft_id, LARGEST_TEXT), DraftOut))
