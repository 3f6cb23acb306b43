"""Owns the API's views of messages, its hot path; it must not change a session's own fields."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any
from urllib.parse import urlencode

import msgspec
from django.http import HttpResponse
from rest_framework.response import Response

from chat_memory import wiring
from chat_memory.api import lookup
from chat_memory.api.given import Changes, changes_in, messages_in
from chat_memory.api.http import idempotency
from chat_memory.api.http.pages import MessagePage
from chat_memory.api.http.preconditions import unmodified
from chat_memory.api.http.problems import Refusal, bad_request
from chat_memory.api.http.request import ChatRequest
from chat_memory.api.http.responses import json_response
from chat_memory.api.queries import BranchQuery, MessageQuery
from chat_memory.api.resources.views import ChatMemoryViewSet
from chat_memory.choices import CURRENT
from chat_memory.conf import settings
from chat_memory.exceptions import MessageConflict, NotFound, ValidationError
from chat_memory.history.stamping import restated
from chat_memory.records import Header, Json, Message, Receipt, Span
from chat_memory.rules.attachments import check_references, hashes
from chat_memory.rules.limits import limits
from chat_memory.rules.message import ID_LENGTH, check_number
from chat_memory.rules.names import check_key
from chat_memory.storage.contract import EditStore
from chat_memory.storage.mapping import to_json
from chat_memory.storage.orm.retries import stored_ids

replace = msgspec.structs.replace


class MessageViewSet(ChatMemoryViewSet):
    """Appends and reads the messages of a session, and changes or redacts one; its place is never deleted."""

    def list(self, request: ChatRequest, slug: str, session_id: str, **_captured: Any) -> HttpResponse:
        """The newest page, or the page before or after a position, oldest message first: two queries, one for a 304.

        ``?id=`` finds a message by its id; it is a parameter since ``messages/<seq>/`` already means a position.
        """
        query = request.query_as(MessageQuery)
        found = lookup.find_session(request, slug, session_id, query.branch)
        if (answer := unmodified(request, found.tag())) is not None:
            return answer
        if query.id is not None:
            return _by_id(found, query)
        span = _span(query, found)
        page, header = _page(found, span)
        links = _links(request, page.count, header, span)
        beyond = query.after_seq is not None and query.after_seq > header.last_seq
        last_seq = header.last_seq if beyond else msgspec.UNSET
        return json_response(MessagePage(msgspec.Raw(page.body), *links, last_seq), etag=found.tag(header))

    def create(self, request: ChatRequest, slug: str, session_id: str, **_captured: Any) -> HttpResponse:
        """Append one message, or a list as a whole: 201 with the stored messages, 200 for a replay. Two queries."""
        found = lookup.find_session(request, slug, session_id, request.query_as(BranchQuery).branch)
        found.member.check_write(own=found.own)
        body = request.json()
        messages, alone = messages_in(body), isinstance(body, dict)
        _check_numbers(messages, alone=alone)  # before the checks that loop over all parts
        found.member.check_grants(messages, own=found.own, alone=alone)
        check_references(hashes(message.content for message in messages))
        with lookup.attachments_named():
            receipt = _append(request, found, messages, alone=alone)
        status = 200 if receipt.replayed else 201
        if not alone:
            return json_response(_raw(receipt.messages), status)
        location = request.build_absolute_uri(f"{receipt.first_seq}/{_on_branch(found)}")
        return json_response(_raw(receipt.messages[0]), status, location=location)

    def retrieve(self, request: ChatRequest, slug: str, session_id: str, seq: str, **_captured: Any) -> HttpResponse:
        """One message by its position."""
        found = lookup.find_session(request, slug, session_id, request.query_as(BranchQuery).branch)
        messages, header = _read(found, _only(found, lookup.position(seq)))
        if not messages:
            raise NotFound
        tag = found.tag(header)
        return unmodified(request, tag) or json_response(_raw(messages[0]), etag=tag)

    def partial_update(
        self, request: ChatRequest, slug: str, session_id: str, seq: str, **_captured: Any
    ) -> HttpResponse:
        """Change a message's content, metadata or unknown members; what the body does not name stays as it is."""
        found = lookup.find_session(request, slug, session_id, request.query_as(BranchQuery).branch)
        found.member.check_write(own=found.own)
        restate = partial(_changed, changes_in(request.json()), found)
        edits, expected = wiring.adapter().part(EditStore), found.expected_version(request)
        with lookup.attachments_named():
            commit = edits.edit(found.address, lookup.position(seq), restate, if_version=expected)
        return json_response(_raw(commit.messages[0]), etag=found.tag(commit.header))

    def destroy(self, request: ChatRequest, slug: str, session_id: str, seq: str, **_captured: Any) -> Response:
        """Redact a message (204): its contents are gone for good, its position and role stay."""
        found = lookup.find_session(request, slug, session_id, request.query_as(BranchQuery).branch)
        found.member.check_delete(own=found.own)
        expected = found.expected_version(request)
        found.history().redact(lookup.position(seq), by=str(request.user_id), if_version=expected)
        return Response(status=204)


def _check_numbers(messages: Sequence[Message], *, alone: bool) -> None:
    """Check the number of parts of each message.

    Raises:
        TooLarge: a message has more than MAX_PARTS.
    """
    for index, message in enumerate(messages):
        try:
            if isinstance(message.content, list):
                check_number(message.content, "content", limits())
        except ValidationError as error:
            raise (error if alone else error.under(f"messages[{index}]")) from None


def _changed(changes: Changes, found: lookup.FoundSession, stored: Message) -> Message:
    """The stored message with the body's changes; called while the write holds the session's lock.

    Raises:
        Refusal: 403, the member may not send such a message, or may not remove what the body removes.
        ValidationError: the changed message is not valid.
    """
    given = dict(changes.fields)
    if changes.further:
        given["extra"] = changes.further
    after = restated(stored, **given)
    found.member.check_edit(stored, after, own=found.own)
    return after


def _raw(messages: Message | Sequence[Message]) -> msgspec.Raw:
    """One message, or a list of messages, encoded as JSON."""
    return msgspec.Raw(to_json(messages))


def _append(request: ChatRequest, found: lookup.FoundSession, messages: Sequence[Message], *, alone: bool) -> Receipt:
    with_ids = _with_ids(request, found, messages)
    # A retry may leave out stored members such as metadata, so the response can be larger than the body: a list beyond
    # the two together is refused. A single message is always returned.
    most = None if alone else len(request.body) + settings.max_answer_bytes
    try:
        return found.history(most).append(*with_ids, if_version=found.expected_version(request))
    except ValidationError as error:
        raise (_of_one(error) if alone else error) from None
    except MessageConflict as error:
        if error.message_id not in {message.id for message in messages}:  # the id is derived from the key
            at = "" if error.seq is None else f", at position {error.seq}"
            detail = f"This key was used before in this session for a message that says something else{at}."
            raise Refusal(409, detail, code="message_conflict", field=idempotency.HEADER) from None
        raise (MessageConflict(error.message_id, seq=error.seq) if alone else error) from None


def _with_ids(request: ChatRequest, found: lookup.FoundSession, messages: Sequence[Message]) -> Sequence[Message]:
    """The messages; with an Idempotency-Key, those without an id get one derived from it.

    The id is derived from user, session, key and the message's index, so a retry derives the same ids. All messages of
    an attempt are stored together, so the first derived id shows which secret all were derived with.

    Raises:
        Refusal: 400, the header is empty or too long.
    """
    key = idempotency.key_of(request)
    first = next((index for index, message in enumerate(messages) if message.id is None), None)
    if key is None or first is None:
        return messages

    def derive(secret: idempotency.Secret, index: int = first) -> str:
        return idempotency.derived_id(secret, found.id, request.user_id, key, index)

    names = lookup.database(), found.session.root.workspace_id, found.session.key
    secret = idempotency.secret_of(derive, partial(stored_ids, *names))
    return [
        replace(message, id=derive(secret, index)) if message.id is None else message
        for index, message in enumerate(messages)
    ]


def _of_one(error: ValidationError) -> ValidationError:
    """The same error for a body of a single message: its field has no index."""
    return type(error)(error.reason, field=error.field.removeprefix("messages[0]").removeprefix("."))


def _span(query: MessageQuery, found: lookup.FoundSession) -> Span:
    """The span of the query; the cache must not serve a state older than the session just looked up."""
    most, seen = settings.max_answer_bytes, found.session.shown
    span = Span(query.after_seq, query.before_seq, most=most, min_version=found.version, seen=seen)
    return replace(span, last=query.size) if query.after_seq is None else replace(span, first=query.size)


def _read(found: lookup.FoundSession, span: Span) -> tuple[Sequence[Message], Header]:
    """The messages in a span of the session that was looked up, and the header of its branch.

    Raises:
        NotFound: the session was deleted meanwhile, even if another one with its key exists now.
    """
    read = found.history().read(span)
    return read.messages, _require(read.header)


def _page(found: lookup.FoundSession, span: Span) -> tuple[Json, Header]:
    """As ``_read``, but with the messages as JSON, which a warm cache already holds for the newest page."""
    page = found.history().read_json(span)
    return page, _require(page.header)


def _require(header: Header | None) -> Header:
    if header is None:
        raise NotFound
    return header


def _links(request: ChatRequest, count: int, header: Header, span: Span) -> tuple[str | None, str | None]:
    """The addresses of the newer and the older page; None where there is none.

    Positions have no gaps, so the header tells what lies beyond the page without a query.
    """
    first, last = _edges(count, header, span)
    end = header.last_seq if span.before is None else min(header.last_seq, span.before - 1)
    if span.after is not None and span.before is not None:
        return (request.link(after_seq=last) if last < end else None), None
    newer = request.link(after_seq=last, before_seq=None) if last < header.last_seq else None
    older = request.link(before_seq=first, after_seq=None) if first > header.base_seq + 1 else None
    return newer, older


def _edges(count: int, header: Header, span: Span) -> tuple[int, int]:
    """The first and last position of a page; an empty page lies before the first message, or after the last."""
    if span.after is None:
        last = header.last_seq if span.before is None else min(header.last_seq, span.before - 1)
        last = last if count else header.base_seq
        return last - count + 1, last
    first = (max(span.after, header.base_seq) if count else header.last_seq) + 1
    return first, first + count - 1


def _by_id(found: lookup.FoundSession, query: MessageQuery) -> HttpResponse:
    """A page with the message of the requested id, or an empty page.

    Raises:
        Refusal: 400, no message can have this id, or the query has a position too.
    """
    if query.after_seq is not None or query.before_seq is not None:
        raise bad_request("Cannot be combined with a position.", "id")
    try:
        check_key(query.id, "id", ID_LENGTH)
    except ValidationError as error:
        raise bad_request(error.reason, "id") from None
    messages, tag = _of_id(found, str(query.id))
    return json_response(MessagePage(_raw(messages)), etag=tag)


def _of_id(found: lookup.FoundSession, message_id: str) -> tuple[Sequence[Message], str]:
    """A list of the message with this id, or an empty list, and the entity tag of the session."""
    seq = wiring.adapter().messages.locate(found.address, message_id)
    if seq is None:
        return [], found.tag()
    messages, header = _read(found, _only(found, seq))
    return [message for message in messages if message.id == message_id], found.tag(header)


def _on_branch(found: lookup.FoundSession) -> str:
    """The query string that keeps an address on the requested branch; "" for the current branch."""
    return "" if found.branch == CURRENT else f"?{urlencode({'branch': found.branch})}"


def _only(found: lookup.FoundSession, seq: int) -> Span:
    """The span of a single position."""
    return Span(seq - 1, seq + 1, first=1, min_version=found.version, seen=found.session.shown)
