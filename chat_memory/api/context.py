"""Owns the view of what a model is shown of a session; it must not choose that itself."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from rest_framework.request import Request

from chat_memory.api import lookup, pages
from chat_memory.api.outgoing import json_response, message_body
from chat_memory.api.problems import bad_request
from chat_memory.api.views import ChatMemoryViewSet

LARGEST = {"turns": 500, "messages": 500, "tokens": 1_000_000}
"""The budgets, and the largest of each."""


class ContextViewSet(ChatMemoryViewSet):
    """What a model is shown: system messages, the newest summary and the newest whole turns."""

    def list(self, request: Request, slug: str, session_id: str) -> HttpResponse:
        """The messages within ``?turns=``, ``?messages=`` or ``?tokens=``, oldest first.

        It has no tag: a summary changes what is shown, and not the session.
        """
        session, _member = lookup.find_session(request, slug, session_id, lookup.branch_of(request))
        found = session.history().context(**_budget(request), min_version=session.shown.version)
        return json_response(pages.envelope(message_body(found), None, None))


def _budget(request: Request) -> dict[str, Any]:
    """The one budget asked for.

    Raises:
        Refusal: 400, there is none, or more than one, or it is not a number.
    """
    given = {name: pages.number(request, name) for name in LARGEST}
    found = {name: min(size, LARGEST[name]) for name, size in given.items() if size is not None}
    if len(found) != 1:
        raise bad_request("Exactly one of turns, messages and tokens must be given.", "turns")
    return found
