"""Owns the records of a branch, of a message's alternatives, and of a message's former content."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from chat_memory.records.message import Content


class Branch(msgspec.Struct, frozen=True):
    """One branch of a conversation: the messages of its ``parent`` up to ``fork_seq``, followed by its own messages.

    Attributes:
        name: the name of the branch; ``main`` for the one a conversation begins with.
        parent: the name of the branch whose messages it shares; None for ``main``.
        fork_seq: the last position that it shares with its parent; 0 for ``main``.
        last_seq: the position of its newest message.
        message_count: the number of its visible messages.
        version: the branch's own version.
        current: whether calls that name no branch use it.
        created_at: when the branch was created.
        updated_at: when the branch last changed.
        number: its place in the order in which the session's branches were made; 0 for ``main``. A number is never
            used twice in a session, so deleted branches leave gaps.
        pending: whether ``regenerate`` made it and it has not become the current branch yet.
    """

    name: str
    parent: str | None
    fork_seq: int
    last_seq: int
    message_count: int
    version: int
    current: bool
    created_at: datetime
    updated_at: datetime
    number: int = 0
    pending: bool = False


class Sibling(msgspec.Struct, frozen=True):
    """One of the messages that follow the same history at the same position, each on a branch of its own.

    Attributes:
        branch: the branch that the message was stored on; ``switch`` to it shows the message.
        seq: the position, the same for all.
        id: the message's id.
        is_current: whether the branch that was asked shows this one.
        number: its place among them, from 1, in the order in which their branches were made.
        count: how many messages there are at this position.
    """

    branch: str
    seq: int
    id: str
    is_current: bool
    number: int
    count: int

    @property
    def position(self) -> str:
        """The number and the count, such as ``2 of 3``."""
        return f"{self.number} of {self.count}"


class Revision(msgspec.Struct, frozen=True):
    """The content that the message at position ``seq`` had until the edit at ``edited_at``."""

    seq: int
    content: Content
    edited_at: datetime


def reach(branches: Mapping[str, Branch], name: str) -> dict[str, int]:
    """For a branch and each of its ancestors, by name: the last of its positions that the branch shows."""
    branch, positions = branches[name], {name: branches[name].last_seq}
    while branch.parent is not None:
        positions[branch.parent] = branch.fork_seq
        branch = branches[branch.parent]
    return positions
