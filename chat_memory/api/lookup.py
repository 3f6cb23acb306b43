"""Owns how a request finds its workspace and session among those of the user; it must not decide what may be done."""

from __future__ import annotations

from functools import cache
from typing import Any
from uuid import UUID

import msgspec
from django.db import connections, router
from django.db.models import F, QuerySet
from rest_framework.request import Request

from chat_memory import wiring
from chat_memory.api.access import Member
from chat_memory.api.problems import bad_request
from chat_memory.choices import CURRENT
from chat_memory.exceptions import NotFound, ValidationError
from chat_memory.history.conversation import Conversation
from chat_memory.history.naming import check_branch
from chat_memory.history.validation import check_workspace
from chat_memory.models import Session, Workspace, WorkspaceMember
from chat_memory.records import Address, Header
from chat_memory.storage.orm.cursor import fetch

_MEMBERSHIP = ("role", "may_send_system", "may_send_tool")


class Found(msgspec.Struct, frozen=True):
    """A session the user may see, as far as its address and its state go.

    Attributes:
        root: the state of its first row, which holds its title and the like.
        shown: the state of the row whose messages are meant, the root's own or that of a branch.
        branch: the branch that was asked for; CURRENT where none was.
    """

    workspace: str
    key: str
    branch: str
    user_key: str
    root: Header
    shown: Header
    own: bool

    @property
    def id(self) -> UUID:
        """What the API calls it by, whichever branch is meant."""
        return self.root.session_id

    def history(self) -> Conversation:
        """The conversation of that session, and of no other made meanwhile under its key."""
        return Conversation(self._address, wiring.adapter())

    def locate(self, message_id: str) -> int | None:
        """The position of a message by its id."""
        return wiring.adapter().locate(self._address, message_id)

    @property
    def _address(self) -> Address:
        meant = self.root if self.branch == CURRENT else self.shown
        return Address(
            self.workspace,
            self.key,
            self.branch,
            user_key=self.user_key,
            workspace_id=meant.workspace_id,
            session_id=meant.session_id,
            pinned=True,
        )


def database() -> str:
    """The alias the conversations live on: a replica could answer 304 for what has changed already."""
    return router.db_for_write(Session)


def workspaces(request: Request) -> QuerySet[Workspace]:
    """The user's workspaces, each with the membership."""
    mine = Workspace.objects.using(database()).filter(members__user_id=_user_id(request))
    return mine.annotate(**{name: F(f"members__{name}") for name in _MEMBERSHIP})


def find_workspace(request: Request, slug: str) -> tuple[Workspace, Member]:
    """A workspace of the user, and what the user is in it: one query.

    Raises:
        NotFound: there is none of this slug, or the user is no member.
    """
    workspace = workspaces(request).filter(slug=_slug(slug)).first()
    if workspace is None:
        raise NotFound
    return workspace, Member(_user_id(request), *(getattr(workspace, name) for name in _MEMBERSHIP))


def branch_of(request: Request) -> str:
    """The ``branch`` asked for; CURRENT, whichever speaks, where the request names none.

    Raises:
        Refusal: 400, no branch can have this name.
    """
    name = request.query_params.get("branch")
    try:
        return CURRENT if name is None else check_branch(name)
    except ValidationError as error:
        raise bad_request(error.reason, "branch") from None


def find_session(request: Request, slug: str, session_id: str, branch: str = CURRENT) -> tuple[Found, Member]:
    """A session the user may see, and what the user is in its workspace: one query.

    Raises:
        NotFound: no workspace, session, branch or membership, somebody else's, or no id at all: always the same.
    """
    connection = connections[database()]
    params = {
        "session_id": _field("id").get_db_prep_value(_uuid(session_id), connection),
        "user_id": _field("user").get_db_prep_value(_user_id(request), connection),
        "workspace": _slug(slug),
        "branch": branch,
    }
    rows = fetch(connection, _statement(named=branch != CURRENT), params)
    if not rows:
        raise NotFound
    key, user_key, workspace_id, version, vtoken, shown_id, *shown, own, role, may_send_system, may_send_tool = rows[0]
    root = Header(_uuid(session_id), workspace_id, version, vtoken)
    meant = Header(UUID(str(shown_id)), workspace_id, *shown)
    found = Found(slug, key, branch, user_key, root, meant, bool(own))
    member = Member(_user_id(request), role, bool(may_send_system), bool(may_send_tool))
    if not member.sees(own=found.own):
        raise NotFound
    return found, member


def visible_sessions(member: Member, workspace: Workspace) -> QuerySet[Session]:
    """The conversations of a workspace that the member may see."""
    sessions = Session.objects.using(database()).filter(
        workspace_id=workspace.pk, parent__isnull=True, deleted_at__isnull=True
    )
    sessions = sessions.select_related("head")
    return sessions if member.sees_all else sessions.filter(user_id=member.user_id)


@cache
def _statement(*, named: bool) -> str:
    """What every request on a session begins with. By hand, since the ORM takes several times as long to say it."""
    session, workspace, member = (model._meta.db_table for model in (Session, Workspace, WorkspaceMember))
    shown = "b.key = s.key AND b.branch = %(branch)b" if named else "b.id = COALESCE(s.head_id, s.id)"
    return f"""
SELECT s.key, s.user_key, s.workspace_id, s.version, s.vtoken, b.id, b.version, b.vtoken, s.user_id = %(user_id)b,
  {", ".join(f"m.{column}" for column in _MEMBERSHIP)}
FROM {session} s JOIN {workspace} w ON w.id = s.workspace_id JOIN {member} m ON m.workspace_id = w.id
  JOIN {session} b ON b.workspace_id = s.workspace_id AND {shown} AND b.deleted_at IS NULL
WHERE s.id = %(session_id)b AND w.slug = %(workspace)b AND m.user_id = %(user_id)b
  AND s.parent_id IS NULL AND s.deleted_at IS NULL"""  # noqa: S608  # the names of our own tables


def _field(name: str) -> Any:
    return Session._meta.get_field(name)


def _user_id(request: Request) -> Any:
    """The primary key of the user, who is logged in and so has one; its type is the host's."""
    return request.user.pk


def _slug(text: str) -> str:
    try:
        check_workspace(text)
    except ValidationError:
        raise NotFound from None
    return text


def _uuid(text: str) -> UUID:
    """An id in its usual form; UUID() alone reads many others, braces and underscores among them."""
    try:
        found = UUID(text)
    except ValueError:
        raise NotFound from None
    if str(found) != text.lower():
        raise NotFound
    return found
