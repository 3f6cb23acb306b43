"""Owns the views of sessions; it must not touch messages."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.response import Response

from chat_memory.api import idempotency, lookup, pages
from chat_memory.api.access import Member
from chat_memory.api.bodies import read_object
from chat_memory.api.incoming import session_fields
from chat_memory.api.outgoing import json_response, session_body
from chat_memory.api.preconditions import etag, expected_version, tag_of, unmodified
from chat_memory.api.problems import Refusal, bad_request, forbidden
from chat_memory.api.views import ChatMemoryViewSet
from chat_memory.choices import MAIN_BRANCH
from chat_memory.exceptions import NotFound, ValidationError, VersionConflict
from chat_memory.history.conversation import conversation
from chat_memory.history.validation import check_key
from chat_memory.models import Session
from chat_memory.records import SessionRecord, uuid7

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
NEWEST_FIRST = pages.Order(("updated_at", "id"), tuple[bool, Moment, UUID], descending=True)
FILTERS = ("key", "user_key")


class SessionViewSet(ChatMemoryViewSet):
    """The sessions of a workspace, as far as the member may see them."""

    def list(self, request: Request, slug: str) -> HttpResponse:
        """Last changed first; ``?key=`` and ``?user_key=`` narrow it: two queries."""
        workspace, member = lookup.find_workspace(request, slug)
        rows = _filtered(request, lookup.visible_sessions(member, workspace))
        found, following, previous = pages.cut(request, rows, NEWEST_FIRST)
        return json_response(pages.envelope([session_body(each) for each in found], following, previous))

    def create(self, request: Request, slug: str) -> HttpResponse:
        """Makes a session, 201, or gives the one that has the key already as it is, 200."""
        _workspace, member = lookup.find_workspace(request, slug)
        member.check_write()
        body = read_object(request)
        key = body.pop("key", None)
        derived = idempotency.session_key(request, slug) if key is None else None
        if key is None:
            key = derived or str(uuid7())
        owner = _owner(request, member, body)
        fields = session_fields(body, beside=("key", "user_key"))
        chat = conversation(key, slug, user=owner, using=lookup.database())
        session, made = chat.get_or_create(**fields)
        if not made and not member.sees(own=member.owns(session)):
            raise Refusal(409, "This key is taken in the workspace.", code="key_taken", field="key")
        if not made and derived is not None:
            if body.get("archived") and session.archived_at:
                fields["archived_at"] = session.archived_at  # now, as the first attempt understood it
            idempotency.check_retry(session, owner if isinstance(owner, str) else str(owner.pk), fields)
        location = request.build_absolute_uri(f"{session.id}/")
        session, tag = _tagged(request, slug, session)
        return json_response(session_body(session), 201 if made else 200, tag, location)

    def retrieve(self, request: Request, slug: str, session_id: str) -> HttpResponse:
        """One session: two queries, one for a 304."""
        found, _member = lookup.find_session(request, slug, session_id)
        if (answer := unmodified(request, tag_of(found))) is not None:
            return answer
        return json_response(session_body(_record(found)), etag=tag_of(found))

    def partial_update(self, request: Request, slug: str, session_id: str) -> HttpResponse:
        """Sets what the body names and leaves the rest."""
        session, member = lookup.find_session(request, slug, session_id)
        member.check_write()
        changed = _update(session, session_fields(read_object(request)), expected_version(request, session))
        changed, tag = _tagged(request, slug, changed)
        return json_response(session_body(changed), etag=tag)

    def destroy(self, request: Request, slug: str, session_id: str) -> Response:
        """Removes the session and its messages for good."""
        session, member = lookup.find_session(request, slug, session_id)
        member.check_delete(own=session.own)
        expected = expected_version(request, session)
        if expected is None:
            gone = session.history().delete()
        else:
            with transaction.atomic(using=lookup.database()):
                _update(session, {}, expected)
                gone = session.history().delete()
        if not gone:
            raise NotFound
        return Response(status=204)


def _record(found: lookup.Found) -> SessionRecord:
    """The session as it is now.

    Raises:
        NotFound: it is gone.
    """
    session = found.history().session()
    if session is None:
        raise NotFound
    return session


def _tagged(request: Request, slug: str, session: SessionRecord) -> tuple[SessionRecord, str]:
    """A session that was just written, with its tag; where a branch speaks, which takes two rows, both read anew."""
    if session.branch == MAIN_BRANCH:
        return session, etag(session)
    found, _member = lookup.find_session(request, slug, str(session.id))
    return _record(found), tag_of(found)


def _filtered(request: Request, rows: QuerySet[Session]) -> QuerySet[Session]:
    """The rows narrowed by the query parameters; a filter never widens what the member may see."""
    for name in FILTERS:
        wanted = request.query_params.get(name)
        if wanted is not None:
            try:
                check_key(wanted, name)
            except ValidationError as error:
                raise bad_request(error.reason, name) from None
            rows = rows.filter(**{name: wanted})
    return rows


def _owner(request: Request, member: Member, body: dict[str, Any]) -> Any:
    """Whose a new session is: the user's own, or of the outside user that a service writes for."""
    if body.get("user_key") is None:
        body.pop("user_key", None)
        return request.user
    if not member.sees_all:
        raise forbidden("A member makes own sessions only.", "user_key")
    user_key: str = body.pop("user_key")
    check_key(user_key, "user_key")
    return user_key


def _update(session: lookup.Found, fields: dict[str, Any], expected: int | None) -> SessionRecord:
    """Set the fields, where the session is at the version expected.

    Raises:
        VersionConflict: it is at another, and nothing was changed.
        NotFound: it is gone.
    """
    chat = session.history()
    if expected is None:
        return chat.update(**fields)
    with transaction.atomic(using=lookup.database()):
        record = chat.update(**fields)  # a write first: it holds the row, so that nobody comes in between
        if record.version != expected + 1:
            raise VersionConflict(expected, record.version - 1)
    return record
