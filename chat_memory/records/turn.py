"""Owns what is known of a turn whose question somebody answers, or may answer."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from chat_memory.records.asking import Address
from chat_memory.records.message import Message


class HeldTurn(msgspec.Struct, frozen=True):
    """A turn, as one caller who wants to answer its question finds it.

    Attributes:
        at: the address of the branch that the question is on, and of nothing else.
        number: of the turn.
        question: as it is stored.
        messages: what the turn has beside its question, oldest first.
        holder: the token of this caller, who has the right to answer; "" where the caller has it not.
        seconds: where somebody else has it, how long that lease goes on; otherwise 0.
        version: of the branch, at least; what ``messages`` are of.
        is_new: whether the question was stored by this very call.
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
        number: of the turn.
        seq: the position of its question.
        seconds: how long its lease goes on.
    """

    number: int
    seq: int
    seconds: float


class TurnRight(NamedTuple):
    """The right to answer a turn, and for how many seconds each use of it renews it."""

    held: HeldTurn
    lease: float
