"""Owns who may do what: the one table of roles and acts that the API and the admin both ask; pure.

What makes messages go needs the right to delete, whatever it is called: a deletion, a redaction, an expiry that is
brought forward, a pin that is taken away, or a part of a message that no former text keeps.
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
"""The role of a superuser, in every workspace, but in the admin alone: the API goes by memberships."""
LIFE = ("pinned", "expires_at")
"""The fields of a session that retention goes by and that callers may set."""


class Act(StrEnum):
    """What somebody may do with a session, or with its workspace (``administer``).

    delete: whatever makes messages go. send_system, send_tool: store messages that act as the system's, or as a tool's.
    """

    READ = "read"
    WRITE = "write"
    DELETE = "delete"
    ADMINISTER = "administer"
    SEND_SYSTEM = "send_system"
    SEND_TOOL = "send_tool"


class Reach(StrEnum):
    """Whose sessions an act reaches: nobody's, the own ones, or all of the workspace."""

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
    """Whose sessions an act of somebody in this role reaches; nobody's without a role, or with an unknown one."""
    acts = TABLE.get(role or "")
    return Reach.NONE if acts is None else acts[act]


def allows(role: str | None, act: Act, *, own: bool = False, granted: bool = False) -> bool:
    """Whether somebody may do this.

    Args:
        role: the role in the workspace; None: no member of it.
        act: what is to be done.
        own: whether the session is their own; without meaning for ``administer``.
        granted: whether the membership has the grant that the act needs, if it needs one.
    """
    if act in GRANTED and not granted:
        return False
    reached = reach(role, act)
    return reached is Reach.ALL or (own and reached is Reach.OWN)


def shortened(stored: Mapping[str, Any], given: Mapping[str, Any], now: datetime) -> str | None:
    """The first field by which a session would be removed sooner than it is stored; None where there is none.

    An expiry in the past counts, whatever is stored, unless it is the stored one.

    Args:
        stored: the session's fields as they are, or as a new session has them.
        given: the fields that are to be set.
        now: the present moment.
    """
    if "pinned" in given and stored["pinned"] and not given["pinned"]:
        return "pinned"
    before, after = stored["expires_at"], given.get("expires_at")
    if after is None or after == before:
        return None
    return "expires_at" if before is None or after < before or after <= now else None


def lost(stored: Message, after: Message) -> str | None:
    """The first part of a message that an edit would take away or replace for good; None where there is none.

    A content is not lost, since its former text is kept. Metadata and further members are kept nowhere.
    """
    if _replaced(stored.metadata, after.metadata) is not None:
        return "metadata"
    return _replaced(stored.extra, after.extra)


def _replaced(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> str | None:
    kept = after or {}
    return next((name for name, value in (before or {}).items() if name not in kept or kept[name] != value), None)
