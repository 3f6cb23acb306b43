"""Owns the API's view of a session's context for a language model; the conversation selects the messages."""

from __future__ import annotations

from typing import Any

import msgspec
from django.http import HttpResponse

from chat_memory.api import lookup
from chat_memory.api.http.pages import ContextPage
from chat_memory.api.http.problems import bad_request
from chat_memory.api.http.request import ChatRequest
from chat_memory.api.http.responses import json_response
from chat_memory.api.queries import ContextQuery
from chat_memory.api.resources.views import ChatMemoryViewSet
from chat_memory.conf import live
from chat_memory.storage.mapping import to_json

LARGEST = {"turns": 500, "messages": 500, "tokens": 1_000_000}
"""The largest value of each budget; a greater one counts as this."""
LARGEST_CONTEXT = 2_000
"""The largest number of messages in a context, whatever its budget, system messages included."""


class ContextViewSet(ChatMemoryViewSet):
    """The context of a session: system messages, the newest summary and the newest whole turns."""

    def list(self, request: ChatRequest, slug: str, session_id: str, **_captured: Any) -> HttpResponse:
        """The messages within the budget ``?turns=``, ``?messages=`` or ``?tokens=``, oldest first, as far as they fit.

        The response has no ETag: a new summary changes the context without changing the session's version.
        """
        query = request.query_as(ContextQuery)
        found = lookup.find_session(request, slug, session_id, query.branch)
        ceiling = {"size": LARGEST_CONTEXT, "most": live.now().max_answer_bytes}
        messages, cut = found.history().context_within(**_budget(query), min_version=found.version, **ceiling)
        return json_response(ContextPage(msgspec.Raw(to_json(messages)), truncated=cut or msgspec.UNSET))


def _budget(query: ContextQuery) -> dict[str, Any]:
    """The one budget of the query, cut to the largest value allowed.

    Raises:
        Refusal: 400, the query has no budget, or more than one.
    """
    sizes = {name: getattr(query, name) for name in LARGEST}
    budget = {name: min(size, LARGEST[name]) for name, size in sizes.items() if size is not None}
    if len(budget) != 1:
        names = ", ".join(budget) or "none"
        raise bad_request(f"Exactly one of turns, messages and tokens must be given, not {names}.", "turns")
    return budget
