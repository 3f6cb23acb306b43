"""Owns the rules for overlapping turns: when a turn is answered, and how long to wait for a held one; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from chat_memory.choices import Role, State
from chat_memory.exceptions import MessageConflict
from chat_memory.records import HeldTurn, Message
from chat_memory.rules.calls import calls

TAKEN = ("wait", "refuse", "look")
"""The choices for the case that somebody else answers the same question."""
BUSY = ("beside", "reject", "enqueue", "interrupt", "rollback")
"""The choices for the case that another question of the branch is being answered."""
_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 1.0
_WRITTEN = (State.COMPLETE.value, State.REDACTED.value, State.STOPPED.value)


def is_answered(messages: Sequence[Message]) -> bool:
    """Whether a turn with these messages is answered: the newest one is an assistant's that calls no tool.

    A failed or abandoned message is no answer; a stopped one is. System messages are ignored.

    Args:
        messages: the messages of the turn, in order, with or without its question.
    """
    said = [message for message in messages if message.role != Role.SYSTEM.value]
    if not said or said[-1].role != Role.ASSISTANT.value:
        return False
    return said[-1].state in _WRITTEN and not calls(said[-1])


def check_of_turn(held: HeldTurn, stored: Iterable[Message]) -> None:
    """Check that stored messages, whose ids a caller gave again, belong to a turn and are not its question.

    Raises:
        MessageConflict: one is not.
    """
    for message in stored:
        if message.turn != held.number or message.id == held.question.id:
            raise MessageConflict(message.id or "", seq=message.seq)


def pauses() -> Iterator[float]:
    """The seconds to wait before each further try to take a turn."""
    pause = _FIRST_PAUSE
    while True:
        yield pause
        pause = min(pause * 2, _LONGEST_PAUSE)
