"""Owns the changes for a reader that keeps a copy of a conversation's messages or of a list of conversations."""

from __future__ import annotations

from uuid import UUID

import msgspec

from chat_memory.records.message import Message
from chat_memory.records.session import SessionRecord


class Changes(msgspec.Struct, frozen=True):
    """The changes of the messages of a conversation since a cursor.

    A reader drops the messages it holds from ``void_from`` on, replaces those at the positions of ``changed``, and adds
    ``messages``. It then has what a fresh read returns.

    Attributes:
        messages: the messages that follow those of the reader, oldest first.
        changed: messages that the reader holds and that were edited or redacted, as they are now.
        void_from: the position from which on the messages of the reader are not shown any more; 1: it starts over.
            None: all of them are still shown.
        cursor: what the next call takes.
        more: whether there are more changes, which the next call returns.
        branch: the branch that was read.
        version: the branch's version; 0 if there is no session.
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
        """Whether the reader must drop all messages that it holds."""
        return self.void_from == 1


class SessionChanges(msgspec.Struct, frozen=True):
    """The changes of the conversations of a workspace since a cursor.

    Attributes:
        changed: conversations that are new or changed, as they are now; one that did not change may be among them.
        gone: the ids of deleted conversations; the reader may not have known them.
        begins_anew: whether the reader must drop all that it holds before it takes this page.
        cursor: what the next call takes.
        more: whether there are more changes, which the next call returns.
    """

    changed: list[SessionRecord]
    gone: list[UUID]
    begins_anew: bool
    cursor: str
    more: bool
