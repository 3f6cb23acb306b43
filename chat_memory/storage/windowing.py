"""Owns which of the newest messages a budget takes, by arithmetic over a list; it must not know where they are kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter

from chat_memory.choices import Role
from chat_memory.records import Budget, Message, Slice, Span

FIRST_LOOK = 64
"""How many messages a window reads at first; each further look is four times as wide."""


def read(look: Callable[[Span], Slice], budget: Budget) -> Slice:
    """The window of a conversation of which spans can be read: two reads, repeated until they saw the same state."""
    while True:
        system = look(Span(system=True)) if budget.system else None
        found = _newest(look, budget, system.messages if system else [])
        if system is None or system.header == found.header:
            return found


def _newest(look: Callable[[Span], Slice], budget: Budget, system: Sequence[Message]) -> Slice:
    size = FIRST_LOOK
    while True:
        found = look(Span(last=size))
        taken = newest_turns(found.messages, budget, system, whole=len(found.messages) < size)
        if taken is not None:
            return Slice(taken, found.header)
        size *= 4


def newest_turns(
    messages: Sequence[Message], budget: Budget, system: Sequence[Message] | None = None, *, whole: bool
) -> list[Message] | None:
    """The newest whole turns within a budget; None where it takes older messages to know.

    Args:
        messages: the newest of the conversation, oldest first.
        budget: what to take.
        system: all system messages of the conversation, if the budget asks for them; None: those of ``messages``.
        whole: whether ``messages`` are all there are.
    """
    if system is None:
        system = [message for message in messages if budget.system and message.role == Role.SYSTEM.value]
    room = None if budget.tokens is None else budget.tokens - sum(message.tokens or 0 for message in system)
    if room is not None and room < 0:
        return []
    said = [message for message in messages if message.role != Role.SYSTEM.value]
    taken = turns = tokens = 0
    for size, message in enumerate(reversed(said), 1):
        tokens += message.tokens or 0
        if (budget.messages is not None and size > budget.messages) or (room is not None and tokens > room):
            break
        if message.role == Role.USER.value:
            taken, turns = size, turns + 1
            if turns == budget.turns:
                break
    else:
        if not whole:
            return None
    return sorted([*system, *said[len(said) - taken :]], key=attrgetter("seq"))
