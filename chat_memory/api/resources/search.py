"""Owns the API's view of a search through a workspace's messages; the adapter's ``SearchStore`` runs it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec
from django.http import HttpResponse

from chat_memory import wiring
from chat_memory.api import lookup
from chat_memory.api.access import Member
from chat_memory.api.http import pages
from chat_memory.api.http.problems import bad_request
from chat_memory.api.http.request import ChatRequest
from chat_memory.api.http.responses import json_response
from chat_memory.api.queries import SearchQuery
from chat_memory.api.resources.views import ChatMemoryViewSet
from chat_memory.api.shapes import FoundOut
from chat_memory.exceptions import ValidationError
from chat_memory.models import Workspace
from chat_memory.records import Found, Query, as_utc
from chat_memory.rules.names import check_key
from chat_memory.rules.searching import understood
from chat_memory.rules.times import check_time
from chat_memory.storage.contract import SearchStore, Within
from chat_memory.storage.listing import Filter

_PLACE = re.compile(r"[0-9]{1,9}", re.ASCII)


class BestFirst(msgspec.Struct):
    """The sessions with messages that match a search, best match first; a ``pages.Listing`` whose places are ranks."""

    workspace: str
    query: Query
    within: Within
    _places: dict[Any, int] = {}

    def find(self, place: str | None, size: int, *, backwards: bool) -> tuple[Sequence[Found], bool]:
        """See ``pages.Listing.find``."""
        if place is not None and not _PLACE.fullmatch(place):
            raise ValidationError("is no place in a search")
        skip = int(place or 0)
        if backwards:
            skip, size = max(0, skip - 1 - size), min(size, max(0, skip - 1))
        store = wiring.adapter(lookup.database()).part(SearchStore)
        rows = store.find(self.workspace, self.query, self.within, skip=skip, size=size)[0] if size else []
        self._places = {row.id: number for number, row in enumerate(rows, skip + 1)}
        return rows, False

    def place_of(self, row: Found) -> str:
        """See ``pages.Listing.place_of``."""
        return str(self._places[row.id])


class SearchViewSet(ChatMemoryViewSet):
    """Searches through the messages that the member may read."""

    def list(self, request: ChatRequest, slug: str, **_captured: Any) -> HttpResponse:
        """The sessions with messages that match ``?q=``, each with its best match."""
        query = request.query_as(SearchQuery)
        workspace, member = lookup.find_workspace(request, slug)
        try:
            listing = BestFirst(slug, understood(query.q, "q"), _within(query, workspace, member))
        except ValidationError as error:
            raise bad_request(error.reason, error.field) from None
        return json_response(pages.cut(request, query, listing, FoundOut))


def _within(query: SearchQuery, workspace: Workspace, member: Member) -> Within:
    """The query's conditions, restricted to the sessions the member may see.

    Raises:
        ValidationError: a condition has a value that no session or message can have.
    """
    if query.user_key is not None:
        check_key(query.user_key, "user_key")
    for name in ("since", "until"):
        if getattr(query, name) is not None:
            check_time(getattr(query, name), name)
    sessions = Filter(
        user_id=member.sees_user_id,
        user_key=query.user_key,
        archived=query.archived,
        pinned=query.pinned,
        workspace_id=workspace.pk,
    )
    return Within(sessions, as_utc(query.since), as_utc(query.until))
