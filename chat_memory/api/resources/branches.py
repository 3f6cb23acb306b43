"""Owns the API's views of a session's branches."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

import msgspec
from django.http import HttpResponse

from chat_memory import wiring
from chat_memory.api import lookup
from chat_memory.api.http import pages
from chat_memory.api.http.request import ChatRequest
from chat_memory.api.http.responses import json_response, show
from chat_memory.api.queries import BranchQuery, NoQuery
from chat_memory.api.resources.views import ChatMemoryViewSet
from chat_memory.api.shapes import (
    AskAgainIn,
    AskedAgainOut,
    BranchOut,
    ForkIn,
    RegeneratedOut,
    RegenerateIn,
    SiblingOut,
    SiblingsOut,
    SwitchedOut,
    SwitchIn,
)
from chat_memory.exceptions import NotFound, ValidationError
from chat_memory.history import regrowing
from chat_memory.records import Address, Branch, Message
from chat_memory.rules.attachments import check_references, hashes
from chat_memory.rules.names import BRANCH_LENGTH, check_branch, check_key
from chat_memory.rules.numbers import optional_number
from chat_memory.storage.contract import BranchStore
from chat_memory.storage.mapping import to_json

_NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)


class ByNumber(msgspec.Struct, frozen=True):
    """The branches of a session, ``main`` first, then in order of creation; a ``pages.Listing``."""

    session: Address

    def find(self, place: str | None, size: int, *, backwards: bool) -> tuple[Sequence[Branch], bool]:
        """See ``pages.Listing.find``."""
        branches = wiring.adapter().part(BranchStore)
        if place is None:
            rows = branches.find(self.session, size=size)
            if not rows:
                raise NotFound  # the session was deleted meanwhile
            return rows, False
        if not _NUMBER.fullmatch(place):
            raise ValidationError("is no number of a branch")
        after, before = (None, int(place)) if backwards else (int(place), None)
        return branches.find(self.session, after=after, before=before, size=size), False

    def place_of(self, row: Branch) -> str:
        """See ``pages.Listing.place_of``."""
        return str(row.number)


class BranchViewSet(ChatMemoryViewSet):
    """Lists and forks the branches of a session."""

    def list(self, request: ChatRequest, slug: str, session_id: str, **_captured: Any) -> HttpResponse:
        """The branches: ``main`` first, the others in the order they were made."""
        query = request.query_as(pages.CursorQuery)
        found = lookup.find_session(request, slug, session_id)
        return json_response(pages.cut(request, query, ByNumber(found.address), BranchOut))

    def create(self, request: ChatRequest, slug: str, session_id: str, **_captured: Any) -> HttpResponse:
        """Fork the requested branch (201). No message is copied, and the current branch stays current."""
        found = lookup.find_session(request, slug, session_id, request.query_as(BranchQuery).branch)
        found.member.check_write(own=found.own)
        body = request.body_as(ForkIn)
        check_key(body.name, "name", BRANCH_LENGTH)
        branches = wiring.adapter().part(BranchStore)
        new_branch, _left = branches.fork(found.address, check_branch(body.name), optional_number(body.at, "at"))
        location = request.build_absolute_uri(f"../messages/?{urlencode({'branch': body.name})}")
        return json_response(show(new_branch, BranchOut), 201, location=location)

    def switch(self, request: ChatRequest, slug: str, session_id: str, **_captured: Any) -> HttpResponse:
        """Make a branch the current one (200); the response names it, and the branch that the request found current."""
        request.query_as(NoQuery)
        found = lookup.find_session(request, slug, session_id)
        found.member.check_write(own=found.own)
        name = request.body_as(SwitchIn).branch
        check_key(name, "branch", BRANCH_LENGTH)
        header = wiring.adapter().part(BranchStore).switch(found.address, name)
        return json_response(SwitchedOut(name, None if header is None else found.session.branch))


class RegenerationViewSet(ChatMemoryViewSet):
    """Another answer in place of one."""

    def create(self, request: ChatRequest, slug: str, session_id: str, seq: str, **_captured: Any) -> HttpResponse:
        """Make a branch for another answer (201), or find the one that waits for it (200)."""
        found = lookup.find_session(request, slug, session_id, request.query_as(BranchQuery).branch).on_its_branch
        found.member.check_write(own=found.own)
        until = regrowing.pending(request.body_as(RegenerateIn).until)
        branch, is_new = regrowing.regenerated(found.history(), lookup.position(seq), until)
        location = request.build_absolute_uri(f"../../?{urlencode({'branch': branch.name})}")
        told = RegeneratedOut(branch.name, found.branch, branch.last_seq)
        return json_response(told, 201 if is_new else 200, location=location)


class SiblingsViewSet(ChatMemoryViewSet):
    """The alternatives to a message, and asking it again."""

    def list(self, request: ChatRequest, slug: str, session_id: str, seq: str, **_captured: Any) -> HttpResponse:
        """The message at a position and its alternatives on other branches: two queries."""
        found = lookup.find_session(request, slug, session_id, request.query_as(BranchQuery).branch)
        siblings = wiring.adapter().part(BranchStore).siblings(found.address, lookup.position(seq))
        if not siblings:
            raise NotFound
        return json_response(SiblingsOut([show(each, SiblingOut) for each in siblings]))

    def create(self, request: ChatRequest, slug: str, session_id: str, seq: str, **_captured: Any) -> HttpResponse:
        """Ask a user's message again in other words, on a new branch that is the current one from now on (201)."""
        found = lookup.find_session(request, slug, session_id, request.query_as(BranchQuery).branch).on_its_branch
        found.member.check_write(own=found.own)
        body = request.body_as(AskAgainIn)
        message = Message.user(body.content, id=body.id, metadata=body.metadata)
        found.member.check_grants([message], own=found.own, alone=True)
        check_references(hashes([message.content]))
        with lookup.attachments_named():
            receipt = found.history().edit_and_branch(
                lookup.position(seq), body.content, message_id=body.id, metadata=body.metadata
            )
        (stored,) = receipt.messages
        location = request.build_absolute_uri(f"../../{stored.seq}/?{urlencode({'branch': receipt.branch})}")
        told = AskedAgainOut(msgspec.Raw(to_json(stored)), receipt.branch, receipt.former_branch)
        return json_response(told, 200 if receipt.replayed else 201, location=location)
