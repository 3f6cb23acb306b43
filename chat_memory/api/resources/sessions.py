"""Owns the API's views of sessions; it must not touch messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
from django.http import HttpResponse
from rest_framework.response import Response

from chat_memory import wiring
from chat_memory.api import lookup
from chat_memory.api.access import Member
from chat_memory.api.given import settings_in
from chat_memory.api.http import idempotency, pages
from chat_memory.api.http.bodies import members_of
from chat_memory.api.http.preconditions import etag, unmodified
from chat_memory.api.http.problems import KEY_TAKEN, Refusal, bad_request, forbidden
from chat_memory.api.http.request import ChatRequest
from chat_memory.api.http.responses import json_response, show
from chat_memory.api.queries import NoQuery, SessionQuery
from chat_memory.api.resources.views import ChatMemoryViewSet
from chat_memory.api.shapes import SessionIn, SessionOut, SessionPatch
from chat_memory.choices import MAIN_BRANCH
from chat_memory.conf import live
from chat_memory.exceptions import NotFound, ValidationError
from chat_memory.fields import empty_session
from chat_memory.history.conversation import conversation
from chat_memory.models import Workspace
from chat_memory.records import SessionRecord, as_utc, uuid7
from chat_memory.rules.limits import limits
from chat_memory.rules.names import check_key, check_text
from chat_memory.rules.rights import LIFE, Act
from chat_memory.rules.session import MAX_TAGS, TAG_LENGTH, TITLE_LENGTH, check_session_fields
from chat_memory.rules.times import check_time
from chat_memory.storage.listing import Cursor, Filter
from chat_memory.storage.orm.judging import judged
from chat_memory.storage.orm.retries import stored_keys
from chat_memory.storage.orm.transactions import run_write

_DERIVED_KEYS = UUID("0e4ce3a2-6a51-5d0c-9c5f-6a3b0f1d8e27")


class LastActiveFirst(msgspec.Struct, frozen=True):
    """The sessions of a workspace that match a filter, last active first; a ``pages.Listing``."""

    workspace: str
    wanted: Filter

    def find(self, place: str | None, size: int, *, backwards: bool) -> tuple[Sequence[SessionRecord], bool]:
        """See ``pages.Listing.find``."""
        find = partial(wiring.adapter().sessions.find_within, size=size, most=live.now().max_answer_bytes)
        if place is None:
            return find(self.workspace, self.wanted)
        cursor = Cursor.parse(place)
        check_time(cursor.active_at, "cursor")
        before, after = (None, cursor) if backwards else (cursor, None)
        return find(self.workspace, self.wanted, before=before, after=after)

    def place_of(self, row: SessionRecord) -> str:
        """See ``pages.Listing.place_of``."""
        return str(Cursor.of(row))


class SessionViewSet(ChatMemoryViewSet):
    """The sessions of a workspace that the member may see."""

    def list(self, request: ChatRequest, slug: str, **_captured: Any) -> HttpResponse:
        """The sessions that meet the conditions, last active first: two queries."""
        query = request.query_as(SessionQuery)
        workspace, member = lookup.find_workspace(request, slug)
        page = pages.cut(request, query, LastActiveFirst(slug, _filter(query, workspace, member)), SessionOut)
        return json_response(page)

    def create(self, request: ChatRequest, slug: str, **_captured: Any) -> HttpResponse:
        """Create a session (201), or return the existing session of the body's key unchanged (200)."""
        request.query_as(NoQuery)
        workspace, member = lookup.find_workspace(request, slug)
        member.check_write(own=True)
        body = members_of(request.body_as(SessionIn))
        key, derived = body.get("key"), None
        if key is None:
            derived = _derived_key(request, workspace)
            key = derived or str(uuid7())
        owner, settings = _owner(request, member, body), settings_in(body)
        if owner is not request.user:
            member.check_life(empty_session(), check_session_fields(settings, limits()), own=False)
        chosen = body.get("key") is not None and not member.may(Act.READ, own=False)
        session, is_new = _opened(key, workspace, owner, settings, chosen=chosen)
        if not is_new:
            _check_opened(session, member)
            if derived is not None:
                _check_retry(session, owner, body, settings)
        location = request.build_absolute_uri(f"{session.id}/")
        return _answer(request, slug, session, 201 if is_new else 200, location)

    def retrieve(self, request: ChatRequest, slug: str, session_id: str, **_captured: Any) -> HttpResponse:
        """One session: two queries, or one for a 304."""
        request.query_as(NoQuery)
        found = lookup.find_session(request, slug, session_id)
        return unmodified(request, found.tag()) or json_response(show(_record(found), SessionOut), etag=found.tag())

    def partial_update(self, request: ChatRequest, slug: str, session_id: str, **_captured: Any) -> HttpResponse:
        """Set the fields that the body names; the others stay as they are."""
        request.query_as(NoQuery)
        found = lookup.find_session(request, slug, session_id)
        found.member.check_write(own=found.own)
        settings = settings_in(members_of(request.body_as(SessionPatch)))
        return _answer(request, slug, _update(found, settings, found.expected_version(request)))

    def destroy(self, request: ChatRequest, slug: str, session_id: str, **_captured: Any) -> Response:
        """Delete the session, with its branches and messages, for good (204)."""
        request.query_as(NoQuery)
        found = lookup.find_session(request, slug, session_id)
        found.member.check_delete(own=found.own)
        if not _delete(found, found.expected_version(request)):
            raise NotFound
        return Response(status=204)


def _filter(query: SessionQuery, workspace: Workspace, member: Member) -> Filter:
    """The filter for the query's conditions, restricted to the sessions the member may see.

    Raises:
        Refusal: 400, a condition has a value that no session can have; the error names the condition.
    """
    try:
        _check_conditions(query)
    except ValidationError as error:
        raise bad_request(error.reason, error.field) from None
    return Filter(
        user_id=member.sees_user_id,
        user_key=query.user_key,
        key=query.key,
        tags=tuple(query.tag),
        title=query.title,
        since=as_utc(query.since),
        until=as_utc(query.until),
        archived=query.archived,
        pinned=query.pinned,
        workspace_id=workspace.pk,
    )


def _check_conditions(query: SessionQuery) -> None:
    """Check that a stored session could have the values of the conditions.

    Raises:
        ValidationError: a value is too long, malformed or out of range.
    """
    for name in ("key", "user_key"):
        if getattr(query, name) is not None:
            check_key(getattr(query, name), name)
    if len(query.tag) > MAX_TAGS:
        raise ValidationError(
            f"is given {len(query.tag)} times, and a session has at most {MAX_TAGS} tags", field="tag"
        )
    for tag in query.tag:
        check_key(tag, "tag", TAG_LENGTH)
    check_text(query.title, "title", TITLE_LENGTH)
    for name in ("since", "until"):
        if getattr(query, name) is not None:
            check_time(getattr(query, name), name)


def _derived_key(request: ChatRequest, workspace: Workspace) -> str | None:
    """The session key derived from user, workspace and Idempotency-Key; None where the request has no such header.

    Raises:
        Refusal: 400, the header is empty or too long.
    """
    key = idempotency.key_of(request)
    if key is None:
        return None

    def derive(secret: idempotency.Secret) -> str:
        return idempotency.derived_id(secret, _DERIVED_KEYS, request.user_id, key, workspace.slug)

    return derive(idempotency.secret_of(derive, partial(stored_keys, lookup.database(), workspace.pk)))


def _owner(request: ChatRequest, member: Member, body: Mapping[str, Any]) -> Any:
    """The owner of a new session: the requesting user, or the body's ``user_key`` where the role allows that.

    Raises:
        Refusal: 403, the role ``member`` may not name another owner.
        ValidationError: ``user_key`` is not a valid key.
    """
    user_key = body.get("user_key")
    if user_key is None:
        return request.user
    if not member.may(Act.WRITE, own=False):
        raise forbidden("A member may only create their own sessions.", "user_key")
    check_key(user_key, "user_key")
    return user_key


def _opened(
    key: str, workspace: Workspace, owner: Any, settings: Mapping[str, Any], *, chosen: bool
) -> tuple[SessionRecord, bool]:
    """The session of a key, made for the owner where there is none, and whether this call made it.

    An existing session is not changed, whoever owns it. ``chosen``: whether a plain member chose the key; the session
    then gives it up when the server opens a session with that key for another user.

    Raises:
        NotFound: the workspace was removed or renamed meanwhile, even if another one has its slug now.
    """
    place = conversation(key, workspace.slug, user=owner, using=lookup.database(), any_owner=True).place
    given = check_session_fields(settings, limits())
    here = msgspec.structs.replace(place.address, workspace_id=workspace.pk, pinned=True)
    return place.adapter.sessions.open(here, {**given, "key_from_client": chosen})


def _check_opened(session: SessionRecord, member: Member) -> None:
    """Check that the member may see a session that existed already.

    Raises:
        Refusal: 409, the session belongs to another user.
    """
    if not member.may(Act.READ, own=member.owns(session)):
        raise Refusal(409, KEY_TAKEN, code="key_taken", field="key")


def _check_retry(session: SessionRecord, owner: Any, body: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """Check that a retry with an Idempotency-Key describes the session that the first attempt created.

    The first request is not stored, so the body is compared with the session as it is now.

    Raises:
        Refusal: 409, the body describes another session, or the session was changed meanwhile.
    """
    expected = {"user_key": owner if isinstance(owner, str) else str(owner.pk), **empty_session(), **settings}
    if body.get("archived") and session.archived_at:
        expected["archived_at"] = session.archived_at  # "archived" meant the moment of the first attempt
    if session.title_made and not expected["title"]:
        del expected["title"]  # the title was made of the first message, after the first attempt
    differing = [name for name, value in expected.items() if getattr(session, name) != value]
    if differing:
        names = " and ".join(filter(None, (", ".join(differing[:-1]), differing[-1])))
        detail = f"This key was used before, and the session it created differs from the body in {names}."
        raise Refusal(409, detail, code="idempotency_conflict", field=idempotency.HEADER)


def _record(found: lookup.FoundSession) -> SessionRecord:
    """The session's present record.

    Raises:
        NotFound: the session was deleted meanwhile.
    """
    session = found.history().session()
    if session is None:
        raise NotFound
    return session


def _answer(
    request: ChatRequest, slug: str, session: SessionRecord, status: int = 200, location: str | None = None
) -> HttpResponse:
    """The response with a session that was just written, and its ETag.

    Where the current branch is not ``main``, the session is read again: its tag covers two rows.
    """
    if session.branch == MAIN_BRANCH:
        return json_response(show(session, SessionOut), status, etag=etag(session), location=location)
    found = lookup.find_session(request, slug, str(session.id))
    return json_response(show(_record(found), SessionOut), status, etag=found.tag(), location=location)


def _update(found: lookup.FoundSession, settings: Mapping[str, Any], expected: int | None) -> SessionRecord:
    """Set fields of the session if it is at the expected version; None accepts any version.

    Fields that retention uses are compared with the stored ones while the write holds the session's lock.

    Raises:
        Refusal: 403, the session would be removed sooner, and the member may not delete it.
        ValidationError: a field cannot be stored.
        VersionConflict: the session is at another version; nothing was changed.
        NotFound: the session was deleted meanwhile.
    """

    def write() -> SessionRecord:
        return found.history().update(**settings, if_version=expected)

    if found.member.may(Act.DELETE, own=found.own) or settings.keys().isdisjoint(LIFE):
        return write()

    given = check_session_fields(settings, limits())

    def judge(stored: Mapping[str, Any]) -> None:
        found.member.check_life(stored, given, own=found.own)

    return judged(lookup.database(), found.address, judge, write)


def _delete(found: lookup.FoundSession, expected: int | None) -> bool:
    """Delete the session if it is at the expected version (None accepts any), and tell whether it existed.

    Raises:
        VersionConflict: the session is at another version; nothing was changed.
        NotFound: a version is expected, and the session was deleted meanwhile.
    """
    if expected is None:
        return found.history().delete()

    def write(**_nested: bool) -> bool:
        _update(found, {}, expected)
        return found.history().delete()

    return run_write(lookup.database(), write, at=found.address)
