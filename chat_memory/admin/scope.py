"""Owns what a staff user sees and may do: membership roles as predicates; it must not know any page."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec
from django.db.models import Exists, OuterRef, Q
from django.http import HttpRequest

from chat_memory.choices import MemberRole
from chat_memory.models import Session, WorkspaceMember

READS_ALL = frozenset({MemberRole.READER.value, MemberRole.WRITER.value, MemberRole.ADMIN.value})
WRITES_ALL = frozenset({MemberRole.WRITER.value, MemberRole.ADMIN.value})
_ON_REQUEST = "_chat_memory_scope"


class Scope(msgspec.Struct, frozen=True):
    """What the roles of one user allow; Django's model permissions are asked beside it.

    Attributes:
        everything: True for a superuser, whom no role narrows.
        user_id: whose sessions are the user's own.
        roles: the user's role by workspace id.
    """

    everything: bool
    user_id: Any
    roles: Mapping[int, str]

    def workspaces(self) -> Q:
        """The workspaces the user is a member of."""
        return Q() if self.everything else Q(pk__in=list(self.roles))

    def members(self) -> Q:
        """The memberships in those workspaces."""
        return Q() if self.everything else Q(workspace_id__in=list(self.roles))

    def sessions(self) -> Q:
        """All sessions where the role reads all, the user's own elsewhere."""
        if self.everything:
            return Q()
        own = Q(workspace_id__in=list(self.roles), user_id=self.user_id)
        return Q(workspace_id__in=self._workspaces_as(READS_ALL)) | own

    def branches(self) -> Q:
        """The branches of the user's own sessions, which do not name the user themselves; lists do without them."""
        same = {"workspace_id": OuterRef("workspace_id"), "key": OuterRef("key")}
        own = Session.objects.filter(**same, parent__isnull=True, user_id=self.user_id)
        return Q(Exists(own), workspace_id__in=list(self.roles), parent__isnull=False)

    def messages(self) -> Q:
        """The messages of all these; asked through the sessions, whose indexes know the workspace."""
        if self.everything:
            return Q()
        sessions = Session.objects.filter(self.sessions() | self.branches())
        return Q(workspace_id__in=list(self.roles), session__in=sessions)

    def writes(self, session: Session) -> bool:
        """Whether the user may change this session: a member the own ones, a reader none."""
        return self.everything or self.roles.get(session.workspace_id) in WRITES_ALL or self._writes_own(session)

    def deletes(self, session: Session) -> bool:
        """Whether the user may delete this session: an admin every one, whoever may write the own ones."""
        return self.administers(session.workspace_id) or self._writes_own(session)

    def administers(self, workspace_id: int | None) -> bool:
        """Whether the user may change the workspace itself and say who belongs to it."""
        return self.everything or (workspace_id is not None and self.roles.get(workspace_id) == MemberRole.ADMIN.value)

    def administered(self) -> Q:
        """The workspaces for which ``administers`` holds."""
        return Q() if self.everything else Q(pk__in=self._workspaces_as({MemberRole.ADMIN.value}))

    def _writes_own(self, session: Session) -> bool:
        role = self.roles.get(session.workspace_id)
        return role not in {None, MemberRole.READER.value} and session.user_id == self.user_id

    def _workspaces_as(self, roles: Collection[str]) -> list[int]:
        return [workspace_id for workspace_id, role in self.roles.items() if role in roles]


def scope_of(request: HttpRequest) -> Scope:
    """The scope of the request's user, read once per request."""
    found: Scope | None = getattr(request, _ON_REQUEST, None)
    if found is None:
        found = _load(request.user)
        setattr(request, _ON_REQUEST, found)
    return found


def _load(user: Any) -> Scope:
    if user.is_active and user.is_superuser:
        return Scope(True, user.pk, {})
    memberships = WorkspaceMember.objects.filter(user_id=user.pk).order_by()
    return Scope(False, user.pk, dict(memberships.values_list("workspace_id", "role")))
