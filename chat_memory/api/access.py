"""Owns what a member of a workspace may see and do; it must not query."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from chat_memory.api.problems import forbidden
from chat_memory.choices import MemberRole, Role
from chat_memory.records import Message, SessionRecord


class Member(msgspec.Struct, frozen=True):
    """What the asking user is in a workspace, from the membership row (FEATURES E14)."""

    user_id: Any
    role: str
    may_send_system: bool
    may_send_tool: bool

    @property
    def sees_all(self) -> bool:
        """Whether other users' sessions are visible; a plain member sees the own ones."""
        return self.role != MemberRole.MEMBER.value

    def sees(self, *, own: bool) -> bool:
        """Whether a session is visible, the user's own or not."""
        return own or self.sees_all

    def owns(self, session: SessionRecord) -> bool:
        """Whether a session is the user's own: its user, not merely somebody of the same key."""
        return bool(session.user_id == self.user_id)

    def check_write(self) -> None:
        """Readers read.

        Raises:
            Refusal: 403.
        """
        if self.role == MemberRole.READER.value:
            raise forbidden("A reader may not write.")

    def check_delete(self, *, own: bool) -> None:
        """An admin deletes every session, whoever may write the own ones.

        Raises:
            Refusal: 403.
        """
        self.check_write()
        if self.role != MemberRole.ADMIN.value and not own:
            raise forbidden("Only an admin deletes the sessions of others.")

    def check_grants(self, messages: Iterable[Message]) -> None:
        """What steers a model needs a grant of its own, whatever the role.

        Raises:
            Refusal: 403.
        """
        for message in messages:
            if message.role == Role.SYSTEM.value and not self.may_send_system:
                raise forbidden("Sending system messages needs a grant.", "role")
            if message.role in (Role.TOOL.value, Role.FUNCTION.value) and not self.may_send_tool:
                raise forbidden("Sending tool messages needs a grant.", "role")
