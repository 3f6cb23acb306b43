"""Owns the API's views of feedback: on a session's messages, on one message, and the sums of a workspace."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec
from django.http import HttpResponse
from rest_framework.exceptions import NotFound
from rest_framework.response import Response

from chat_memory import feedback, wiring
from chat_memory.api import lookup
from chat_memory.api.http import pages
from chat_memory.api.http.problems import forbidden
from chat_memory.api.http.request import ChatRequest
from chat_memory.api.http.responses import json_response, show
from chat_memory.api.queries import BranchQuery, FeedbackQuery, VotesQuery
from chat_memory.api.resources.views import ChatMemoryViewSet
from chat_memory.api.shapes import FeedbackIn, FeedbackOut, FeedbackPage, FeedbackSumsOut
from chat_memory.exceptions import ValidationError
from chat_memory.records import Address, Feedback, FeedbackPlace
from chat_memory.storage.contract import FeedbackStore

_PLACE = re.compile(r"([0-9]{1,18})-([0-9]{1,18})", re.ASCII)


class ByPlace(msgspec.Struct, frozen=True):
    """The feedback on a branch, or on one message of it, in the order of the messages; a ``pages.Listing``."""

    session: Address
    seq: int | None = None

    def find(self, place: str | None, size: int, *, backwards: bool) -> tuple[Sequence[Feedback], bool]:
        """See ``pages.Listing.find``."""
        low = None if self.seq is None else FeedbackPlace(self.seq, 0)
        high = None if self.seq is None else FeedbackPlace(self.seq + 1, 0)
        if place is not None:
            named = _PLACE.fullmatch(place)
            if named is None:
                raise ValidationError("is no place in a list of feedback")
            edge = FeedbackPlace(int(named[1]), int(named[2]))
            low, high = (low, edge) if backwards else (edge, high)
        store = wiring.adapter().part(FeedbackStore)
        return store.find(self.session, after=low, before=high, size=size, backwards=backwards), False

    def place_of(self, row: Feedback) -> str:
        """See ``pages.Listing.place_of``."""
        return f"{row.seq}-{row.number}"


class FeedbackViewSet(ChatMemoryViewSet):
    """The feedback on the messages of a session."""

    def list(self, request: ChatRequest, slug: str, session_id: str, **_captured: Any) -> HttpResponse:
        """A page of the feedback on the messages that the branch shows, and the sums of all of it: three queries."""
        query = request.query_as(FeedbackQuery)
        found = lookup.find_session(request, slug, session_id, query.branch)
        page = pages.cut(request, query, ByPlace(found.address), FeedbackOut)
        votes = wiring.adapter().part(FeedbackStore).totals(found.address)
        counts = {name: getattr(votes, name) for name in ("up", "down", "comments")}
        return json_response(FeedbackPage(page.results, page.next, page.previous, **counts))


class MessageFeedbackViewSet(ChatMemoryViewSet):
    """The feedback on one message; each user gives, changes and removes their own."""

    def list(self, request: ChatRequest, slug: str, session_id: str, seq: str, **_captured: Any) -> HttpResponse:
        """A page of the feedback on the message, in the order in which it was first given."""
        query = request.query_as(FeedbackQuery)
        found = lookup.find_session(request, slug, session_id, query.branch)
        return json_response(pages.cut(request, query, ByPlace(found.address, lookup.position(seq)), FeedbackOut))

    def update(self, request: ChatRequest, slug: str, session_id: str, seq: str, **_captured: Any) -> HttpResponse:
        """Store the user's feedback on the message; it replaces the same user's earlier feedback (200)."""
        found = lookup.find_session(request, slug, session_id, request.query_as(BranchQuery).branch)
        found.member.check_write(own=found.own)
        body = request.body_as(FeedbackIn)
        given = found.history().feedback.give(lookup.position(seq), body.vote, body.comment, by=request.user)
        return json_response(show(given, FeedbackOut))

    def destroy(self, request: ChatRequest, slug: str, session_id: str, seq: str, **_captured: Any) -> Response:
        """Remove the user's feedback on the message (204), whether or not there is any."""
        found = lookup.find_session(request, slug, session_id, request.query_as(BranchQuery).branch)
        found.member.check_write(own=found.own)
        found.history().feedback.remove(lookup.position(seq), by=request.user)
        return Response(status=204)


class FeedbackSumsViewSet(ChatMemoryViewSet):
    """The sums of the feedback in a workspace."""

    def list(self, request: ChatRequest, slug: str, **_captured: Any) -> HttpResponse:
        """The totals, and sums by day or by model, for members who may read every session of the workspace."""
        query = request.query_as(VotesQuery)
        workspace, member = lookup.find_workspace(request, slug)
        if member.sees_user_id is not None:
            raise forbidden("The sums take in sessions that your role does not allow you to read.")
        within: dict[str, Any] = {"since": query.since, "until": query.until, "using": lookup.database()}
        votes = feedback.totals(workspace.slug, **within)
        sums = FeedbackSumsOut(votes.up, votes.down, votes.comments)
        if query.by == "day":
            sums = msgspec.structs.replace(sums, days=feedback.by_day(workspace.slug, **within))
        elif query.by == "model":
            sums = msgspec.structs.replace(sums, models=feedback.by_model(workspace.slug, **within))
        if not lookup.workspaces(request).filter(pk=workspace.pk, slug=workspace.slug).exists():
            raise NotFound  # another workspace may have the slug by now, and these be its sums
        return json_response(sums)
