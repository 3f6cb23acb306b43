"""Owns what a reader is told who keeps a copy: of the messages of a conversation, or of a list of conversations."""

from __future__ import annotations

from uuid import UUID

import msgspec

from chat_memory.records.message import Message
from chat_memory.records.session import SessionRecord


class Changes(msgspec.Struct, frozen=True):
    """What became of the messages of a conversation since a cursor.

    A reader drops what it holds from ``void_from`` on, puts ``changed`` in place of what it holds at their positions,
    and adds ``messages``: it then has what a fresh read gives.

    Attributes:
        messages: the messages that follow what the reader holds, oldest first.
        changed: messages that the reader holds and that say something else now.
        void_from: the first position from which on what the reader holds is not shown any more; 1: it begins anew.
            None: all that it holds is still shown.
        cursor: what the next call takes.
        more: whether there is more than this page; the next call gives it.
        branch: the branch that was read.
        version: its version; 0 where there is no session.
    """

    messages: list[Message]
    changed: list[Message]
    void_from: int | None
    cursor: str
    more: bool
    branch: str
    version: int

    @property
    def begins_anew(self) -> bool:
        """Whether the reader drops all that it holds."""
        return self.void_from == 1


class SessionChanges(msgspec.Struct, frozen=True):
    """What became of the conversations of a workspace since a cursor.

    Attributes:
        changed: conversations that are new or changed, as they are now. One may be given again that the reader knows.
        gone: the ids of conversations that are not there any more; the reader need not have known them.
        begins_anew: whether the reader drops all that it holds before it takes this page.
        cursor: what the next call takes.
        more: whether there is more than this page; the next call gives it.
    """

    changed: list[SessionRecord]
    gone: list[UUID]
    begins_anew: bool
    cursor: str
    more: bool
