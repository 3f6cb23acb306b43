"""Owns the record of a tool call that has no result."""

from __future__ import annotations

import msgspec


class UnansweredCall(msgspec.Struct, frozen=True):
    """A tool call to which the conversation has no result.

    Attributes:
        seq: the position of the message that makes the call.
        id: the id of the call; "" where it has none.
        name: the name of the tool; "" where the call names none.
    """

    seq: int
    id: str
    name: str
