"""Owns the API's views for clients that keep copies of a session's messages, or of the list of sessions."""

from __future__ import annotations

from typing import Any

import msgspec
from django.http import HttpResponse

from chat_memory import wiring
from chat_memory.api import lookup
from chat_memory.api.http.preconditions import unmodified
from chat_memory.api.http.request import ChatRequest
from chat_memory.api.http.responses import json_response, show
from chat_memory.api.queries import ChangesQuery, SessionChangesQuery
from chat_memory.api.resources.views import ChatMemoryViewSet
from chat_memory.api.shapes import ChangesOut, SessionChangesOut, SessionOut
from chat_memory.conf import settings
from chat_memory.storage.contract import ChangeStore
from chat_memory.storage.listing import Filter
from chat_memory.storage.mapping import to_json
from chat_memory.storage.syncing import Held, Listed


class ChangesViewSet(ChatMemoryViewSet):
    """The changes to the messages of a session."""

    def list(self, request: ChatRequest, slug: str, session_id: str, **_captured: Any) -> HttpResponse:
        """The messages that are new, changed, or no longer shown since the cursor: two queries, or one for a 304."""
        query = request.query_as(ChangesQuery)
        found = lookup.find_session(request, slug, session_id, query.branch)
        held = None if query.cursor is None else Held.parse(query.cursor)
        if (answer := unmodified(request, found.tag())) is not None:
            return answer
        most = settings.max_answer_bytes
        changes = wiring.adapter().part(ChangeStore).messages(found.address, held, size=query.size, most=most)
        messages, changed = (msgspec.Raw(to_json(part)) for part in (changes.messages, changes.changed))
        told = changes.void_from, changes.cursor, changes.more, changes.branch, changes.version
        return json_response(ChangesOut(messages, changed, *told), etag=found.tag())


class SessionChangesViewSet(ChatMemoryViewSet):
    """The changes to the sessions of a workspace."""

    def list(self, request: ChatRequest, slug: str, **_captured: Any) -> HttpResponse:
        """The visible sessions that are new or changed since the cursor, and the ids of those that are gone."""
        query = request.query_as(SessionChangesQuery)
        workspace, member = lookup.find_workspace(request, slug)
        listed = None if query.cursor is None else Listed.parse(query.cursor)
        wanted = Filter(user_id=member.sees_user_id, workspace_id=workspace.pk)
        most, store = settings.max_answer_bytes, wiring.adapter().part(ChangeStore)
        changes = store.sessions(workspace.slug, wanted, listed, size=query.size, most=most)
        sessions = [show(record, SessionOut) for record in changes.changed]
        return json_response(
            SessionChangesOut(sessions, changes.gone, changes.begins_anew, changes.cursor, changes.more)
        )
