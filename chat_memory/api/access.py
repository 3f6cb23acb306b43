"""Owns what a workspace member may see and do through the API, by the table of ``rules.rights``; it must not query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from chat_memory.api.http.problems import forbidden
from chat_memory.records import Message, SessionRecord
from chat_memory.rules import rights
from chat_memory.rules.rights import Act, Reach
from chat_memory.rules.sending import sent_as

_UNGRANTED = {
    Act.SEND_SYSTEM: "Sending system messages needs the grant may_send_system.",
    Act.SEND_TOOL: "Sending tool messages, and results of tools in any message, needs the grant may_send_tool.",
}


class Member(msgspec.Struct, frozen=True):
    """The requesting user's membership of a workspace: the role and the grants."""

    user_id: Any
    role: str
    may_send_system: bool
    may_send_tool: bool

    def may(self, act: Act, *, own: bool) -> bool:
        """Whether the member may do this with a session; ``own`` tells whether the session is the member's own."""
        granted = {Act.SEND_SYSTEM: self.may_send_system, Act.SEND_TOOL: self.may_send_tool}.get(act, False)
        return rights.allows(self.role, act, own=own, granted=granted)

    @property
    def sees_user_id(self) -> Any:
        """The primary key of the one user whose sessions are visible; None where all users' sessions are."""
        return None if rights.reach(self.role, Act.READ) is Reach.ALL else self.user_id

    def owns(self, session: SessionRecord) -> bool:
        """Whether the session belongs to this user; the user ids are compared, since user keys may coincide."""
        return bool(session.user_id == self.user_id)

    def check_write(self, *, own: bool) -> None:
        """Check that the member may write to a session.

        Raises:
            Refusal: 403, the role does not allow it.
        """
        if not self.may(Act.WRITE, own=own):
            raise forbidden("Your role does not allow you to write to this session.")

    def check_delete(self, *, own: bool) -> None:
        """Check that the member may delete a session, or messages of it.

        Raises:
            Refusal: 403, the role does not allow it.
        """
        if not self.may(Act.DELETE, own=own):
            raise forbidden("Your role does not allow you to delete from this session.")

    def check_life(self, stored: Mapping[str, Any], given: Mapping[str, Any], *, own: bool) -> None:
        """Check that the member may set fields that would let retention remove the session sooner than now.

        Args:
            stored: the stored fields that the write replaces; for a new session, the empty fields.
            given: the fields to set.
            own: whether the session is the member's own.

        Raises:
            Refusal: 403, with the field: the role does not allow the member to delete the session.
        """
        if self.may(Act.DELETE, own=own):
            return
        field = rights.shortened(stored, given, datetime.now(UTC))
        if field is not None:
            raise forbidden("This would remove the session sooner, which needs the right to delete it.", field)

    def check_edit(self, stored: Message, after: Message, *, own: bool) -> None:
        """Check that the member may replace ``stored`` by ``after``.

        The member needs the grants for both messages, and the right to delete if the edit loses anything.

        Raises:
            Refusal: 403, with the field.
        """
        for message in (stored, after):
            self.check_grants([message], own=own, alone=True)
        if self.may(Act.DELETE, own=own):
            return
        field = rights.lost(stored, after)
        if field is not None:
            raise forbidden("This would erase what is kept nowhere else, which needs the right to delete.", field)

    def check_grants(self, messages: Sequence[Message], *, own: bool, alone: bool) -> None:
        """Check the grants for messages, or parts of them, that act as the system or as a tool; no role implies them.

        Args:
            messages: the messages of the request.
            own: whether the session is the member's own.
            alone: whether the body was a single message; then the error's field has no index.

        Raises:
            Refusal: 403, with the field of the first part without its grant, such as ``messages[2].role``.
        """
        if self.may(Act.SEND_SYSTEM, own=own) and self.may(Act.SEND_TOOL, own=own):
            return
        for index, message in enumerate(messages):
            for act, place in sent_as(message):
                if not self.may(act, own=own):
                    raise forbidden(_UNGRANTED[act], place if alone else f"messages[{index}].{place}".rstrip("."))
