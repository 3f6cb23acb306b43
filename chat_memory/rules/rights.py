"""Owns who may do what: the one table of roles and acts that the API and the admin both use; pure.

Everything that removes messages or parts of them for good needs the right to delete: a deletion, a redaction, an
earlier expiry, an unpinning, or an edit that removes what no revision keeps.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from chat_memory.choices import MemberRole
from chat_memory.records import Message

SUPERUSER = "superuser"
"""The role of a superuser in every workspace, but only in the admin: the API goes by memberships."""
LIFE = ("pinned", "expires_at")
"""The settable fields of a session that decide when retention removes it."""


class Act(StrEnum):
    """What somebody may do with a session, or with its workspace (``administer``).

    delete: everything that removes messages. send_system, send_tool: store messages that act as system messages, or as
    tool results.
    """

    READ = "read"
    WRITE = "write"
    DELETE = "delete"
    ADMINISTER = "administer"
    SEND_SYSTEM = "send_system"
    SEND_TOOL = "send_tool"


class Reach(StrEnum):
    """Which sessions an act is allowed on: none, one's own, or all of the workspace."""

    NONE = "none"
    OWN = "own"
    ALL = "all"


GRANTED = frozenset({Act.SEND_SYSTEM, Act.SEND_TOOL})
"""The acts that need a grant of the membership beside the role."""
_NONE, _OWN, _ALL = Reach.NONE, Reach.OWN, Reach.ALL
_ROWS: tuple[tuple[str, tuple[Reach, ...]], ...] = (
    # role, then the reach of each act in the order of Act
    (MemberRole.MEMBER.value, (_OWN, _OWN, _OWN, _NONE, _OWN, _OWN)),
    (MemberRole.READER.value, (_ALL, _NONE, _NONE, _NONE, _NONE, _NONE)),
    (MemberRole.WRITER.value, (_ALL, _ALL, _OWN, _NONE, _ALL, _ALL)),
    (MemberRole.ADMIN.value, (_ALL, _ALL, _ALL, _ALL, _ALL, _ALL)),
    (SUPERUSER, (_ALL, _ALL, _ALL, _ALL, _NONE, _NONE)),  # no page of the admin sends a message
)
TABLE: Mapping[str, Mapping[Act, Reach]] = MappingProxyType(
    {role: MappingProxyType(dict(zip(Act, reaches, strict=True))) for role, reaches in _ROWS}
)
"""The reach of each act, by role."""


def reach(role: str | None, act: Act) -> Reach:
    """The sessions that a role allows an act on; none without a role, or with an unknown one."""
    acts = TABLE.get(role or "")
    return Reach.NONE if acts is None else acts[act]


def allows(role: str | None, act: Act, *, own: bool = False, granted: bool = False) -> bool:
    """Whether somebody may do this.

    Args:
        role: the role in the workspace; None: not a member of it.
        act: the act.
        own: whether the session is their own; ignored for ``administer``.
        granted: whether the membership has the grant that the act needs, if it needs one.
    """
    if act in GRANTED and not granted:
        return False
    reached = reach(role, act)
    return reached is Reach.ALL or (own and reached is Reach.OWN)


def shortened(stored: Mapping[str, Any], given: Mapping[str, Any], now: datetime) -> str | None:
    """The first given field that would make retention remove the session sooner; None if there is none.

    An expiry in the past always counts, unless it is the stored one.

    Args:
        stored: the session's fields as they are, or as a new session has them.
        given: the fields to set.
        now: the present moment.
    """
    if "pinned" in given and stored["pinned"] and not given["pinned"]:
        return "pinned"
    before, after = stored["expires_at"], given.get("expires_at")
    if after is None or after == before:
        return None
    return "expires_at" if before is None or after < before or after <= now else None


def lost(stored: Message, after: Message) -> str | None:
    """The first part of a message that an edit would remove or replace for good; None if there is none.

    Content is not lost, because a revision keeps it. Nothing keeps former metadata and ``extra``.
    """
    if _replaced(stored.metadata, after.metadata) is not None:
        return "metadata"
    return _replaced(stored.extra, after.extra)


def _replaced(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> str | None:
    kept = after or {}
    return next((name for name, value in (before or {}).items() if name not in kept or kept[name] != value), None)
