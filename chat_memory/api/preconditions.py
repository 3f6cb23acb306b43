"""Owns the ETag of a session and the conditions clients put on it (RFC 9110, 8.8 and 13); it must not write."""

from __future__ import annotations

from hashlib import blake2b

from django.http import HttpResponseNotModified
from django.utils.http import parse_etags
from rest_framework.request import Request

from chat_memory.api.lookup import Found
from chat_memory.records import Header, SessionRecord

NO_VERSION = 2**62
"""A version no session is ever at: what is stored already is still recognised as a replay, nothing new is stored."""


def etag(*states: Header | SessionRecord) -> str:
    """The opaque tag of some rows' state: it moves with every message and every other change."""
    text = "/".join(f"{state.version}.{state.vtoken}" for state in states)
    return f'"{blake2b(text.encode(), digest_size=12).hexdigest()}"'


def tag_of(session: Found, seen: Header | None = None) -> str:
    """The tag of a session as it was found, or as a read has seen it since.

    Where a branch is shown its root counts too: title and the like are there. A root that has changed since the session
    was found makes the tag older than what goes with it, which costs one more read and never hides a change.
    """
    seen = seen or session.shown
    return etag(seen) if seen.session_id == session.id else etag(session.root, seen)


def unmodified(request: Request, tag: str) -> HttpResponseNotModified | None:
    """The 304 where the client's If-None-Match names the tag; a proxy that compressed it may have made it weak."""
    wanted = [given.removeprefix("W/") for given in parse_etags(request.headers.get("If-None-Match", ""))]
    if tag not in wanted and "*" not in wanted:
        return None
    return HttpResponseNotModified(headers={"ETag": tag})


def expected_version(request: Request, session: Found) -> int | None:
    """The version the session must be at for the client's If-Match; None where any will do."""
    given = request.headers.get("If-Match")
    if given is None or given.strip() == "*":
        return None
    return session.shown.version if tag_of(session) in parse_etags(given) else NO_VERSION
