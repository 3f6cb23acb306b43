"""Owns what a workspace member may see and do through the API; it must not query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from chat_memory.api.http.problems import forbidden
from chat_memory.choices import MemberRole, Role
from chat_memory.records import Message, SessionRecord


class Member(msgspec.Struct, frozen=True):
    """The requesting user's membership of a workspace: the role and the grants."""

    user_id: Any
    role: str
    may_send_system: bool
    may_send_tool: bool

    @property
    def sees_all(self) -> bool:
        """Whether the member sees other users' sessions; the role ``member`` does not."""
        return self.role != MemberRole.MEMBER.value

    @property
    def sees_user_id(self) -> Any:
        """The primary key of the one user whose sessions are visible; None where all users' sessions are."""
        return None if self.sees_all else self.user_id

    def sees(self, *, own: bool) -> bool:
        """Whether the member sees a session; ``own`` tells whether the session is the member's own."""
        return own or self.sees_all

    def owns(self, session: SessionRecord) -> bool:
        """Whether the session belongs to this user; the user ids are compared, since user keys may coincide."""
        return bool(session.user_id == self.user_id)

    def check_write(self) -> None:
        """Check that the member may write: every role may, except ``reader``.

        Raises:
            Refusal: 403, the member is a reader.
        """
        if self.role == MemberRole.READER.value:
            raise forbidden("A reader may not write.")

    def check_delete(self, *, own: bool) -> None:
        """Check that the member may delete a session: an admin any session, a writer or member only their own.

        Raises:
            Refusal: 403, the role does not allow it.
        """
        self.check_write()
        if self.role != MemberRole.ADMIN.value and not own:
            raise forbidden("Only an admin may delete other users' sessions.")

    def check_grants(self, messages: Sequence[Message], *, alone: bool) -> None:
        """Check the grants for system, tool and function messages, which every role needs in order to send them.

        Args:
            messages: the messages of the request.
            alone: whether the body was a single message; then the error's field has no index.

        Raises:
            Refusal: 403, with the field of the first message without its grant, such as ``messages[2].role``.
        """
        for index, message in enumerate(messages):
            field = "role" if alone else f"messages[{index}].role"
            if message.role == Role.SYSTEM.value and not self.may_send_system:
                raise forbidden("Sending system messages needs a grant.", field)
            if message.role in (Role.TOOL.value, Role.FUNCTION.value) and not self.may_send_tool:
                raise forbidden("Sending tool messages needs a grant.", field)
