"""Owns the results of adapter calls, and the receipt of an append."""

from __future__ import annotations

import uuid

import msgspec

from chat_memory.choices import MAIN_BRANCH
from chat_memory.records.message import Message


class Header(msgspec.Struct, frozen=True):
    """The state of a session row; if two headers are equal, the messages are equal too.

    Attributes:
        session_id: the id of the row.
        workspace_id: the id of the workspace.
        version: grows by one with every committed change.
        vtoken: a new random number with every change; a restored backup may reach the same version with other messages.
        base_seq: positions up to this one are hidden by ``clear()``.
        last_seq: the position of the newest message; 0 before there is any.
    """

    session_id: uuid.UUID
    workspace_id: int
    version: int
    vtoken: int
    base_seq: int = 0
    last_seq: int = 0

    @property
    def visible(self) -> int:
        """The number of visible messages; positions have no gaps."""
        return self.last_seq - self.base_seq


class Change(msgspec.Struct, frozen=True):
    """One committed change of a session.

    Attributes:
        header: the state after the change.
        prev_version: the version before the change; 0 where the change created the session.
        prev_vtoken: the token before the change; None where it is not known.
        added: the number of messages that were added.
    """

    header: Header
    prev_version: int
    prev_vtoken: int | None
    added: int = 0


class Commit(msgspec.Struct, frozen=True):
    """The result of an append or an edit.

    Attributes:
        messages: the stored messages, in the order of the call.
        header: the state after the call.
        change: the change; None where every message was stored already.
        branch: the name of the branch; "" where the back end has none.
        former_branch: the branch that was the current one before this call switched to another; None if it did not.
        nested: for messages stored in a turn: whether the caller's transaction may still roll them back.
    """

    messages: tuple[Message, ...]
    header: Header
    change: Change | None
    branch: str = ""
    former_branch: str | None = None
    nested: bool = False


class Receipt(msgspec.Struct, frozen=True):
    """The result of an append, for its caller.

    Attributes:
        first_seq: the smallest position among ``messages``; None where the call had no messages.
        last_seq: the largest position among ``messages``; None where the call had no messages.
        version: the session's version after the call; 0 where there is no session.
        replayed: True if every message had been stored before.
        messages: the stored messages with id, seq and created_at, in the order of the call.
        branch: the branch that the messages are on.
        former_branch: the branch that was the current one before this call switched to ``branch``; ``switch`` to it to
            undo that. None if the call did not switch.
    """

    first_seq: int | None
    last_seq: int | None
    version: int
    replayed: bool
    messages: tuple[Message, ...]
    branch: str = MAIN_BRANCH
    former_branch: str | None = None


class Slice(msgspec.Struct, frozen=True):
    """The result of a read: the messages and the state, from one snapshot; ``header`` is None without a session."""

    messages: list[Message]
    header: Header | None


class Json(msgspec.Struct, frozen=True):
    """A Slice whose messages are encoded as one JSON list, for callers that forward it; ``count`` is their number."""

    body: bytes
    count: int
    header: Header | None
