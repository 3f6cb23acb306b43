"""Owns what a staff user may see and do by the table of ``rules.rights``; pages check Django's permissions as well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from django.db.models import Exists, OuterRef, Q
from django.http import HttpRequest

from chat_memory.admin.rows import rows
from chat_memory.models import Session, Workspace, WorkspaceMember
from chat_memory.rules import rights
from chat_memory.rules.rights import Act

_ON_REQUEST = "_chat_memory_scope"


class Scope(msgspec.Struct, frozen=True):
    """What one user's workspace roles allow; a page checks Django's model permissions too.

    Attributes:
        everything: True for a superuser, whose access does not depend on roles.
        user_id: the user's primary key.
        roles: the user's role in each workspace, by workspace id.
    """

    everything: bool
    user_id: Any
    roles: Mapping[int, str]

    def workspaces(self) -> Q:
        """The condition for workspaces the user is a member of."""
        return Q() if self.everything else Q(pk__in=list(self.roles))

    def members(self) -> Q:
        """The condition for memberships in those workspaces."""
        return Q() if self.everything else Q(workspace_id__in=list(self.roles))

    def sessions(self) -> Q:
        """The condition for visible sessions: all of the workspace, or the user's own, as far as the role reads."""
        if self.everything:
            return Q()
        own = Q(workspace_id__in=self._workspaces(Act.READ, own=True), user_id=self.user_id)
        return Q(workspace_id__in=self._workspaces(Act.READ)) | own

    def branches(self) -> Q:
        """The condition for branches of the user's own sessions; a branch row has no user, so ``sessions`` omits it."""
        same_key = {"workspace_id": OuterRef("workspace_id"), "key": OuterRef("key")}
        own = rows(Session).filter(**same_key, parent__isnull=True, user_id=self.user_id)
        return Q(Exists(own), workspace_id__in=self._workspaces(Act.READ, own=True), parent__isnull=False)

    def messages(self) -> Q:
        """The condition for messages of visible sessions and branches; a subquery uses the indexes of sessions."""
        if self.everything:
            return Q()
        sessions = rows(Session).filter(self.sessions() | self.branches())
        return Q(workspace_id__in=list(self.roles), session__in=sessions)

    def may(self, act: Act, session: Session) -> bool:
        """Whether the user may do this with a session."""
        return rights.allows(self._role(session.workspace_id), act, own=session.user_id == self.user_id)

    def administers(self, workspace_id: int | None) -> bool:
        """Whether the user may change the workspace itself and its memberships."""
        return rights.allows(self._role(workspace_id), Act.ADMINISTER)

    def administers_or_makes(self, workspace: Workspace | None) -> bool:
        """Whether the user administers the workspace of a form, or creates it: its creator becomes its admin."""
        return workspace is None or workspace._state.adding or self.administers(workspace.pk)

    def administered(self) -> Q:
        """The condition for workspaces the user administers."""
        return Q() if self.everything else Q(pk__in=self._workspaces(Act.ADMINISTER))

    def _role(self, workspace_id: int | None) -> str | None:
        if self.everything:
            return rights.SUPERUSER
        return None if workspace_id is None else self.roles.get(workspace_id)

    def _workspaces(self, act: Act, *, own: bool = False) -> list[int]:
        """The workspaces in which the user may do this with sessions of others, or with ``own`` ones."""
        return [workspace_id for workspace_id, role in self.roles.items() if rights.allows(role, act, own=own)]


def may_read_messages(request: HttpRequest) -> bool:
    """Whether Django's model permissions let the user view or change messages."""
    user: Any = request.user
    return any(user.has_perm(f"chat_memory.{action}_message") for action in ("view", "change"))


def scope_of(request: HttpRequest) -> Scope:
    """The scope of the request's user, loaded once per request."""
    scope: Scope | None = getattr(request, _ON_REQUEST, None)
    if scope is None:
        scope = _load(request.user)
        setattr(request, _ON_REQUEST, scope)
    return scope


def _load(user: Any) -> Scope:
    if user.is_active and user.is_superuser:
        return Scope(True, user.pk, {})
    memberships = rows(WorkspaceMember).filter(user_id=user.pk).order_by()
    return Scope(False, user.pk, dict(memberships.values_list("workspace_id", "role")))
