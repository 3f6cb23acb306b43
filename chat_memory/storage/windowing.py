"""Owns which of the newest messages fit into a budget, computed over a list of messages from any store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter

from chat_memory.choices import Role
from chat_memory.records import Budget, Message, Slice, Span

FIRST_LOOK = 64
"""The number of messages a window reads first; each further read takes four times as many."""
_SYSTEM, _USER = Role.SYSTEM.value, Role.USER.value


def read(read_span: Callable[[Span], Slice], budget: Budget) -> Slice:
    """The window of a conversation, from reads of spans.

    System messages and the newest messages are read separately, and again if the state changed between the reads.
    """
    while True:
        system = read_span(Span(system=True)) if budget.system else None
        newest = _newest(read_span, budget, system.messages if system else [])
        if system is None or system.header == newest.header:
            return newest


def _newest(read_span: Callable[[Span], Slice], budget: Budget, system: Sequence[Message]) -> Slice:
    size = FIRST_LOOK
    while True:
        newest = read_span(Span(last=size))
        window = newest_turns(newest.messages, budget, system, has_all=len(newest.messages) < size)
        if window is not None:
            return Slice(window, newest.header)
        size *= 4


def newest_turns(
    messages: Sequence[Message], budget: Budget, system: Sequence[Message] | None = None, *, has_all: bool
) -> list[Message] | None:
    """The newest whole turns within a budget; None where older messages are needed to decide.

    Args:
        messages: the newest messages of the conversation, oldest first.
        budget: the size of the window.
        system: all system messages of the conversation, if the budget wants them; None: those among ``messages``.
        has_all: whether ``messages`` are all messages of the conversation.
    """
    if system is None:
        system = [message for message in messages if budget.system and message.role == _SYSTEM]
    others = [message for message in messages if message.role != _SYSTEM]
    room = None if budget.tokens is None else budget.tokens - sum(message.tokens or 0 for message in system)
    if room is not None and room < 0:
        return []
    size = _size(others, budget, room, has_all=has_all)
    return None if size is None else sorted([*system, *others[len(others) - size :]], key=attrgetter("seq"))


def _size(messages: Sequence[Message], budget: Budget, room: int | None, *, has_all: bool) -> int | None:
    """The number of newest messages that form the turns that fit; ``room`` is the number of tokens they may have."""
    taken = turns = tokens = 0
    for size, message in enumerate(reversed(messages), 1):
        tokens += message.tokens or 0
        if (budget.messages is not None and size > budget.messages) or (room is not None and tokens > room):
            return taken
        if message.role == _USER:
            taken, turns = size, turns + 1
            if turns == budget.turns:
                return taken
    return taken if has_all else None
