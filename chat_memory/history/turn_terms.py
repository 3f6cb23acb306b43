"""Owns the check of the arguments of ``chat.turn``; pure."""

from __future__ import annotations

from typing import Literal, NamedTuple

from chat_memory.exceptions import ValidationError
from chat_memory.records import Message
from chat_memory.rules.calls import starts_turn
from chat_memory.rules.json_values import shown
from chat_memory.rules.names import plain
from chat_memory.rules.overlap import BUSY, TAKEN

Taken = Literal["wait", "refuse", "look"]
Busy = Literal["beside", "reject", "enqueue", "interrupt", "rollback"]
LONGEST_LEASE = 24 * 3600
LONGEST_WAIT = 24 * 3600


class Terms(NamedTuple):
    """How a caller wants to answer a question; see ``Conversation.turn``."""

    taken: str
    busy: str
    wait: float
    lease: float


def terms(taken: str, busy: str, wait: float, lease: float) -> Terms:
    """The terms, checked.

    Raises:
        ValidationError: one of them is not usable; the error names it.
    """
    for field, value, known in (("taken", taken, TAKEN), ("busy", busy, BUSY)):
        if value not in known:
            raise ValidationError(f"must be one of {', '.join(known)}, not {shown(value)}", field=field)
    return Terms(taken, busy, _seconds(wait, "wait", 0, LONGEST_WAIT), _seconds(lease, "lease", 1, LONGEST_LEASE))


def check_question(question: object) -> Message | str:
    """A message that begins a turn, or the id of a stored one.

    Raises:
        ValidationError: it is neither.
    """
    if isinstance(question, str):
        return str(plain(question))
    if not isinstance(question, Message):
        raise ValidationError(f"must be a message or the id of one, not {shown(question)}", field="question")
    if not starts_turn(question):
        raise ValidationError("must be a user's message, and not of results of tool calls alone", field="question")
    return question


def check_answers(messages: object) -> None:
    """Check that none of several messages begins a turn of its own.

    Raises:
        ValidationError: one does.
    """
    for index, message in enumerate(messages if isinstance(messages, (list, tuple)) else ()):
        if isinstance(message, Message) and starts_turn(message):
            raise ValidationError("begins a turn of its own: ask it by chat.turn()", field=f"messages[{index}]")


def _seconds(value: object, field: str, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
        raise ValidationError(f"must be seconds from {least} to {most}, not {shown(value)}", field=field)
    return float(value)
