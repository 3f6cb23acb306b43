"""Owns the first query of a request on a session: the session's state together with a user's membership."""

from __future__ import annotations

from functools import cache
from typing import Any
from uuid import UUID

import msgspec
from django.db import connections

from chat_memory.choices import CURRENT
from chat_memory.models import Session, Workspace, WorkspaceMember
from chat_memory.records import Header
from chat_memory.storage.orm.cursor import as_uuid, fetch, user_value


class SessionForMember(msgspec.Struct, frozen=True):
    """A session, and the membership of the requesting user in its workspace.

    Attributes:
        key: the session's key.
        user_key: the key of the session's owner.
        own: whether the requesting user owns the session.
        root: the state of the session's first row, which holds its title and the like, without positions.
        shown: the state of the row whose messages are meant: the root, or a branch.
        branch: the name of that branch.
        role: the role of the requesting user.
        may_send_system: whether the user's grants cover system messages.
        may_send_tool: whether they cover tool messages.
    """

    key: str
    user_key: str
    own: bool
    root: Header
    shown: Header
    branch: str
    role: str
    may_send_system: bool
    may_send_tool: bool


def find_for_member(
    alias: str, session_id: UUID, user_id: Any, workspace: str, branch: str = CURRENT
) -> SessionForMember | None:
    """A session and a user's membership in its workspace, by one statement.

    None where there is no such workspace, session, branch or membership. The caller must decide whether the user's role
    covers the session.

    Args:
        alias: the database.
        session_id: the id of the session's first row.
        user_id: the primary key of the user.
        workspace: the slug of the workspace that the session must be in.
        branch: the branch that is meant; CURRENT: the current one.
    """
    connection = connections[alias]
    params = {
        "session_id": _field("id").get_db_prep_value(session_id, connection),
        "user_id": user_value(connection, user_id),
        "workspace": workspace,
        "branch": branch,
    }
    rows = fetch(connection, _statement(named=branch != CURRENT), params)
    return _session(session_id, *rows[0]) if rows else None


def _session(session_id: UUID, key: str, user_key: str, workspace_id: int, *columns: Any) -> SessionForMember:
    """The result for a row of ``_statement``; SQLite returns booleans as numbers."""
    own, version, vtoken, shown_id, *shown, branch, role, may_send_system, may_send_tool = columns
    return SessionForMember(
        key,
        user_key,
        bool(own),
        Header(session_id, workspace_id, version, vtoken),
        Header(as_uuid(shown_id), workspace_id, *shown),
        branch,
        role,
        bool(may_send_system),
        bool(may_send_tool),
    )


@cache
def _statement(*, named: bool) -> str:
    """Hand-written SQL, because the ORM takes several times as long to build it."""
    session, workspace, member = (model._meta.db_table for model in (Session, Workspace, WorkspaceMember))
    shown = "b.key = s.key AND b.branch = %(branch)b" if named else "b.id = COALESCE(s.head_id, s.id)"
    return f"""
SELECT s.key, s.user_key, s.workspace_id, s.user_id = %(user_id)b, s.version, s.vtoken,
  b.id, b.version, b.vtoken, b.base_seq, b.last_seq, b.branch, m.role, m.may_send_system, m.may_send_tool
FROM {session} s JOIN {workspace} w ON w.id = s.workspace_id JOIN {member} m ON m.workspace_id = w.id
  JOIN {session} b ON b.workspace_id = s.workspace_id AND {shown} AND b.deleted_at IS NULL
WHERE s.id = %(session_id)b AND w.slug = %(workspace)b AND m.user_id = %(user_id)b
  AND s.branch = 'main' AND s.deleted_at IS NULL"""  # noqa: S608  # the names of our own tables


def _field(name: str) -> Any:
    return Session._meta.get_field(name)
