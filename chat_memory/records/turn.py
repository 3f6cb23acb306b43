"""Owns the records of turns whose questions somebody answers or may answer."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from chat_memory.records.asking import Address
from chat_memory.records.message import Message


class HeldTurn(msgspec.Struct, frozen=True):
    """A turn, as a caller that tried to take it finds it.

    Attributes:
        at: the address of the branch that the question is on; it is pinned to that branch's row.
        number: the number of the turn.
        question: the stored question.
        messages: the messages of the turn after its question, oldest first.
        holder: the token of this caller, if it has the right to answer; otherwise "".
        seconds: if somebody else has the right, the seconds until that lease lapses; otherwise 0.
        version: the version of the branch at which ``messages`` were read, or an earlier one.
        is_new: whether this call stored the question.
    """

    at: Address
    number: int
    question: Message
    messages: tuple[Message, ...]
    holder: str
    seconds: float
    version: int
    is_new: bool = False


class OpenTurn(msgspec.Struct, frozen=True):
    """A turn that is being answered.

    Attributes:
        number: the number of the turn.
        seq: the position of its question.
        seconds: the seconds until its lease lapses.
    """

    number: int
    seq: int
    seconds: float


class TurnRight(NamedTuple):
    """The right to answer a turn, and the seconds by which each use renews it."""

    held: HeldTurn
    lease: float
