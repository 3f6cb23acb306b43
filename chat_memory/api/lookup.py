"""Owns how a request finds its workspace and session among those its user may see."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import msgspec
from django.db import router
from django.db.models import F, QuerySet

from chat_memory import wiring
from chat_memory.api.access import Member
from chat_memory.api.http.preconditions import etag, expected_version
from chat_memory.api.http.problems import bad_request
from chat_memory.api.http.request import ChatRequest
from chat_memory.choices import CURRENT
from chat_memory.exceptions import AttachmentNotFound, NotFound, ValidationError
from chat_memory.history.conversation import Conversation
from chat_memory.models import Session, Workspace
from chat_memory.records import Address, Header
from chat_memory.rules.names import check_branch, check_workspace
from chat_memory.rules.rights import Act
from chat_memory.storage.orm.access import SessionForMember, find_for_member

_SEQ = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)
_MEMBERSHIP = ("role", "may_send_system", "may_send_tool")


class FoundSession(msgspec.Struct, frozen=True):
    """A session the user may see, as it was stored when the request looked it up.

    Attributes:
        workspace: the workspace's slug.
        branch: the requested branch; CURRENT where the request names none.
        member: the user's role and grants.
        session: the stored rows: the session and the branch that is shown.
    """

    workspace: str
    branch: str
    member: Member
    session: SessionForMember

    @property
    def id(self) -> UUID:
        """The session's id in the API; it is the same for every branch."""
        return self.session.root.session_id

    @property
    def own(self) -> bool:
        """Whether the session is the user's own."""
        return self.session.own

    @property
    def version(self) -> int:
        """The version of the branch that is shown."""
        return self.session.shown.version

    @property
    def address(self) -> Address:
        """The address of exactly this session: it never reaches a later session with the same key."""
        row = self.session.root if self.branch == CURRENT else self.session.shown
        return Address(
            self.workspace,
            self.session.key,
            self.branch,
            user_key=self.session.user_key,
            workspace_id=row.workspace_id,
            session_id=row.session_id,
            pinned=True,
            any_owner=True,
        )

    @property
    def on_its_branch(self) -> FoundSession:
        """The same session, bound to the branch that was found: a later switch does not redirect the request."""
        return msgspec.structs.replace(self, branch=self.session.branch)

    def history(self, most: int | None = None) -> Conversation:
        """The session's conversation; ``most`` limits the bytes of replayed messages that an append returns."""
        at = self.address
        return Conversation(at if most is None else msgspec.structs.replace(at, most=most), wiring.adapter())

    def tag(self, header: Header | None = None) -> str:
        """The entity tag of the session, as it was looked up or as a later read returned it in ``header``.

        The tag of a branch also covers the root, which holds the title and the other fields. If the root changes
        between the lookup and the read, the tag is older than the body: the client reads once more than necessary,
        and no change is hidden.
        """
        header = header or self.session.shown
        return etag(header) if header.session_id == self.id else etag(self.session.root, header)

    def expected_version(self, request: ChatRequest) -> int | None:
        """The version that the request's If-Match requires for a write; None where any version is accepted."""
        return expected_version(request, self.tag(), self.version)


@contextmanager
def attachments_named() -> Iterator[None]:
    """Within it, a reference to an unknown attachment raises a validation error (422) instead of a 404.

    Raises:
        ValidationError: a message refers to an attachment that its session does not reach.
    """
    try:
        yield
    except AttachmentNotFound as error:
        text = f"refers to an attachment that the session has not: {error.sha256}"
        raise ValidationError(text, field="content") from None


def position(seq: str) -> int:
    """The position in an address.

    Raises:
        NotFound: the text is not a position.
    """
    if not _SEQ.fullmatch(seq):
        raise NotFound
    return int(seq)


def database() -> str:
    """The alias that sessions are written to; reads use it too, as a lagging replica could give 304 after a change."""
    return router.db_for_write(Session)


def workspaces(request: ChatRequest) -> QuerySet[Workspace]:
    """The workspaces the user is a member of, without metadata, each row annotated with the role and grants."""
    users_workspaces = Workspace.objects.using(database()).filter(members__user_id=request.user_id).defer("metadata")
    return users_workspaces.annotate(**{name: F(f"members__{name}") for name in _MEMBERSHIP})


def find_workspace(request: ChatRequest, slug: str) -> tuple[Workspace, Member]:
    """A workspace by its slug, and the user's membership of it: one query.

    Raises:
        NotFound: no workspace has this slug, or the user is not a member of it.
    """
    workspace = workspaces(request).filter(slug=_slug(slug)).first()
    if workspace is None:
        raise NotFound
    return workspace, Member(request.user_id, *(getattr(workspace, name) for name in _MEMBERSHIP))


def find_session(request: ChatRequest, slug: str, session_id: str, branch: str | None = None) -> FoundSession:
    """A session the user may see, on the requested branch; None means the current one. One query.

    Raises:
        NotFound: the workspace, session or branch does not exist, the user may not see it, or ``session_id`` is not
            an id; the error is the same for all of these.
        Refusal: 400, the text cannot be the name of a branch.
    """
    named = CURRENT if branch is None else _branch(branch)
    session = find_for_member(database(), _uuid(session_id), request.user_id, _slug(slug), named)
    if session is None:
        raise NotFound
    member = Member(request.user_id, session.role, session.may_send_system, session.may_send_tool)
    if not member.may(Act.READ, own=session.own):
        raise NotFound
    return FoundSession(slug, named, member, session)


def _branch(name: str) -> str:
    try:
        return check_branch(name)
    except ValidationError as error:
        raise bad_request(error.reason, "branch") from None


def _slug(text: str) -> str:
    try:
        check_workspace(text)
    except ValidationError:
        raise NotFound from None
    return text


def _uuid(text: str) -> UUID:
    """A session id in the canonical form; UUID() alone would accept braces, underscores and more."""
    try:
        session_id = UUID(text)
    except ValueError:
        raise NotFound from None
    if str(session_id) != text.lower():
        raise NotFound
    return session_id
