"""Owns the views of messages, the hot path of the API; it must not change sessions otherwise."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlencode

import msgspec
from django.http import HttpResponse
from rest_framework.request import Request

from chat_memory.api import idempotency, lookup, pages
from chat_memory.api.bodies import read_json
from chat_memory.api.incoming import messages_of, of_single
from chat_memory.api.outgoing import json_response, message_body
from chat_memory.api.preconditions import expected_version, tag_of, unmodified
from chat_memory.api.problems import bad_request
from chat_memory.api.views import ChatMemoryViewSet
from chat_memory.choices import CURRENT
from chat_memory.exceptions import NotFound, ValidationError
from chat_memory.history.validation import ID_LENGTH, check_key
from chat_memory.records import Header, Json, Message, Receipt, Span

replace = msgspec.structs.replace
_SEQ = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)


class MessageViewSet(ChatMemoryViewSet):
    """The messages of a session: appended and read, never changed."""

    def list(self, request: Request, slug: str, session_id: str) -> HttpResponse:
        """The newest page, or the one before or after a position, oldest first: two queries, one for a 304.

        ``?id=`` finds a message by its id: an address of its own would clash with the positions.
        """
        session, _member = lookup.find_session(request, slug, session_id, lookup.branch_of(request))
        if (answer := unmodified(request, tag_of(session))) is not None:
            return answer
        if "id" in request.query_params:
            return _by_id(request, session)
        after, before = pages.number(request, "after_seq"), pages.number(request, "before_seq")
        size = pages.page_size(request)
        # Not older than the row just seen, whatever the cache may answer.
        span = Span(after, before, min_version=session.shown.version)
        wanted = replace(span, last=size) if after is None else replace(span, first=size)
        found, header = _page(session, wanted)
        body = pages.envelope(msgspec.Raw(found.body), *_links(request, found.count, header, wanted))
        return json_response(body, etag=tag_of(session, header))

    def create(self, request: Request, slug: str, session_id: str) -> HttpResponse:
        """Appends a message or a list, whole or not at all: 201 with what is stored, 200 for a replay; two queries."""
        session, member = lookup.find_session(request, slug, session_id, lookup.branch_of(request))
        member.check_write()
        body = read_json(request)
        messages = messages_of(body)
        member.check_grants(messages)
        alone = isinstance(body, dict)
        receipt = _append(request, session, messages, alone=alone)
        status = 200 if receipt.replayed else 201
        if not alone:
            return json_response(message_body(receipt.messages), status)
        location = request.build_absolute_uri(f"{receipt.first_seq}/{_on_branch(session)}")
        return json_response(message_body(receipt.messages[0]), status, location=location)

    def retrieve(self, request: Request, slug: str, session_id: str, seq: str) -> HttpResponse:
        """One message by its position."""
        session, _member = lookup.find_session(request, slug, session_id, lookup.branch_of(request))
        if not _SEQ.fullmatch(seq):
            raise NotFound
        found, header = _read(session, _only(int(seq)))
        if not found:
            raise NotFound
        tag = tag_of(session, header)
        return unmodified(request, tag) or json_response(message_body(found[0]), etag=tag)


def _append(request: Request, session: lookup.Found, messages: Sequence[Message], *, alone: bool) -> Receipt:
    named = idempotency.with_ids(request, session.id, messages)
    try:
        return session.history().append(*named, if_version=expected_version(request, session))
    except ValidationError as error:
        raise (of_single(error) if alone else error) from None


def _read(session: lookup.Found, wanted: Span) -> tuple[Sequence[Message], Header]:
    """A span of the session that was looked up, not of another one made meanwhile under its key.

    Raises:
        NotFound: it is gone.
    """
    found = session.history().read(wanted)
    return found.messages, _there(found.header)


def _page(session: lookup.Found, wanted: Span) -> tuple[Json, Header]:
    """As ``_read``, as it is sent: a warm cache has the newest page ready."""
    found = session.history().read_json(wanted)
    return found, _there(found.header)


def _there(header: Header | None) -> Header:
    if header is None:
        raise NotFound
    return header


def _links(request: Request, count: int, header: Header, wanted: Span) -> tuple[str | None, str | None]:
    """The newer page and the older one; positions have no holes, so nothing needs to be counted or read for it."""
    first, last = _edges(count, header, wanted)
    end = header.last_seq if wanted.before is None else min(header.last_seq, wanted.before - 1)
    if wanted.after is not None and wanted.before is not None:
        return (pages.link(request, after_seq=last) if last < end else None), None
    newer = pages.link(request, after_seq=last, before_seq=None) if last < header.last_seq else None
    older = pages.link(request, before_seq=first, after_seq=None) if first > header.base_seq + 1 else None
    return newer, older


def _edges(count: int, header: Header, wanted: Span) -> tuple[int, int]:
    """The first and last position of a page; an empty one lies before the first message, or after the last."""
    if wanted.after is None:
        last = header.last_seq if wanted.before is None else min(header.last_seq, wanted.before - 1)
        last = last if count else header.base_seq
        return last - count + 1, last
    first = (max(wanted.after, header.base_seq) if count else header.last_seq) + 1
    return first, first + count - 1


def _by_id(request: Request, session: lookup.Found) -> HttpResponse:
    """A list of the message with the id asked for, or of none.

    Raises:
        Refusal: 400, no message can have the id, or a position is asked for too.
    """
    if not request.query_params.keys().isdisjoint(("after_seq", "before_seq")):
        raise bad_request("Must not come with a position.", "id")
    message_id = request.query_params["id"]
    try:
        check_key(message_id, "id", ID_LENGTH)
    except ValidationError as error:
        raise bad_request(error.reason, "id") from None
    tag, found = tag_of(session), message_body([])
    seq = session.locate(message_id)
    if seq is not None:
        messages, header = _read(session, _only(seq))
        tag = tag_of(session, header)
        found = message_body([message for message in messages if message.id == message_id])
    return json_response(pages.envelope(found, None, None), etag=tag)


def _on_branch(session: lookup.Found) -> str:
    """The query of an address on the branch that was asked for."""
    return "" if session.branch == CURRENT else f"?{urlencode({'branch': session.branch})}"


def _only(seq: int) -> Span:
    """The span of one position."""
    return Span(seq - 1, seq + 1, first=1)
