"""Owns the choice of the newest messages that fit into a budget, from the messages of any store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate, takewhile
from operator import attrgetter
from typing import NamedTuple

from chat_memory.choices import Role
from chat_memory.exceptions import WindowTooSmall
from chat_memory.records import Budget, Header, Message, Slice, Span
from chat_memory.rules.calls import starts_turn
from chat_memory.storage.mapping import to_json

FIRST_LOOK = 64
"""The largest number of messages that a window reads first."""
GROWTH = 4
"""The factor by which each further read is larger."""
_SYSTEM = Role.SYSTEM.value
_by_position = attrgetter("seq")
_by_turn = attrgetter("turn", "seq")


class Look(NamedTuple):
    """A look at the end of a conversation.

    Attributes:
        messages: its newest messages, oldest first.
        system: all its system messages; empty if they are not wanted.
        header: its state; None where there is no session.
        has_all: whether no visible message precedes ``messages``.
    """

    messages: list[Message]
    system: list[Message]
    header: Header | None
    has_all: bool


NOTHING = Look([], [], None, has_all=True)


def looked_up(look: Callable[[int], Look], budget: Budget) -> Slice:
    """The window of a conversation; ``look`` returns as many of its newest messages as it is asked for.

    Raises:
        WindowTooSmall: as ``newest_turns``.
    """
    size = first_look(budget)
    while True:
        seen = look(size)
        first = seen.header.base_seq + 1 if seen.header else None
        window = newest_turns(seen.messages, budget, seen.system, has_all=seen.has_all, first=first)
        if window is not None:
            return Slice(window, seen.header)
        size *= GROWTH


def first_look(budget: Budget) -> int:
    """How many messages to read first: enough if each turn is a question and an answer, and a few more."""
    if budget.tokens is not None:
        return FIRST_LOOK
    return min(FIRST_LOOK, (budget.messages or 2 * (budget.turns or 0)) + 5)


def read(read_span: Callable[[Span], Slice], budget: Budget) -> Slice:
    """The window of a conversation, computed from reads of spans.

    System messages and the newest messages are read separately, and again if the state changed between the reads.

    Raises:
        WindowTooSmall: as ``newest_turns``.
    """
    while True:
        system = read_span(Span(system=True)) if budget.system else None
        newest = _newest(read_span, budget, system)
        if newest is not None:
            return newest


def is_within(messages: Sequence[Message], size: int, most: int) -> bool:
    """Whether there are at most ``size`` messages, with at most ``most`` bytes of JSON."""
    return len(messages) <= size and len(to_json(messages)) <= most


def read_within(
    read_span: Callable[[Span], Slice], window: Callable[[Budget], Slice], budget: Budget, size: int, most: int
) -> Slice:
    """The window of a conversation, reduced to ``size`` messages and ``most`` bytes of JSON.

    The budget is applied to these messages: the system messages that open the conversation, in up to half of the room,
    the newest question, and as many of the newest messages as fit.

    Args:
        read_span: reads a span of the conversation.
        window: returns a window without these limits; it is used to read the newest question.
        budget: the size of the window.
        size: the largest number of messages.
        most: the largest number of bytes.

    Raises:
        WindowTooSmall: as ``newest_turns``.
    """
    while True:
        newest = read_span(Span(last=size, most=most, min_version=budget.min_version))
        asked = window(Budget(messages=1, system=False, min_version=budget.min_version))
        opening = read_span(Span(first=size, most=most, min_version=budget.min_version))
        if newest.header == asked.header == opening.header:
            break
    if newest.header is None:
        return newest
    kept: dict[int | None, Message] = {}
    if budget.system:
        leading = takewhile(lambda message: message.role == _SYSTEM, opening.messages)
        _take(kept, leading, size // 2, most // 2)
    kept |= {message.seq: message for message in asked.messages[:1]}
    _take(kept, reversed(newest.messages), size, most)
    candidates = sorted(kept.values(), key=_by_position)
    return Slice(newest_turns(candidates, budget, has_all=True, first=newest.header.base_seq + 1) or [], newest.header)


def _take(kept: dict[int | None, Message], messages: Iterable[Message], size: int, most: int) -> None:
    """Add messages by their positions until there are ``size``, or the next makes them more than ``most`` bytes."""
    spent = sum(len(to_json(message)) + 1 for message in kept.values())
    for message in messages:
        if message.seq not in kept:
            spent += len(to_json(message)) + 1
            if len(kept) >= size or spent > most:
                return
            kept[message.seq] = message


def _newest(read_span: Callable[[Span], Slice], budget: Budget, system: Slice | None) -> Slice | None:
    """The window; None if the conversation has changed since the system messages were read."""
    size = first_look(budget)
    while True:
        newest = read_span(Span(last=size))
        if system is not None and system.header != newest.header:
            return None
        first = newest.header.base_seq + 1 if newest.header else None
        along = system.messages if system else []
        window = newest_turns(newest.messages, budget, along, has_all=len(newest.messages) < size, first=first)
        if window is not None:
            return Slice(window, newest.header)
        size *= GROWTH


def newest_turns(
    messages: Sequence[Message],
    budget: Budget,
    system: Sequence[Message] | None = None,
    *,
    has_all: bool,
    first: int | None = None,
) -> list[Message] | None:
    """The newest whole turns within a budget; None where older messages are needed to decide.

    If not even the newest turn fits, the window is its question and the newest messages after it that fit. Tokens are
    spent in this order: on the system messages that open the conversation, the newest turn, the other system messages
    (newest first), and the earlier turns.

    Args:
        messages: the newest messages of the conversation, oldest first.
        budget: the size of the window.
        system: all system messages of the conversation, if the budget wants them; None: those among ``messages``.
        has_all: whether nothing older than ``messages`` can be in the window.
        first: the first position that the conversation shows; None: that of the first message given.

    Raises:
        WindowTooSmall: the system messages that open the conversation and the newest question need more tokens.
    """
    if system is None:
        system = [message for message in messages if message.role == _SYSTEM] if budget.system else []
    others = [message for message in messages if message.role != _SYSTEM]
    if budget.until is not None:
        system, others = ([each for each in some if (each.turn or 0) <= budget.until] for some in (system, others))
    others = by_turn(others, has_all=has_all)
    room = None if budget.tokens is None else budget.tokens - _tokens(system)
    size = _size(others, budget, room, has_all=has_all)
    if size is None:
        return None
    if size:
        return _in_order(system, others[len(others) - size :])
    question = next((n for n in range(len(others) - 1, -1, -1) if starts_turn(others[n])), None)
    if question is None and not has_all:
        return None
    turn = [] if question is None else others[question:]
    if budget.tokens is None:
        return _in_order(system, turn and [turn[0], *_ending(turn[1:], (budget.messages or 1) - 1)])
    return _in_order(*_within(budget.tokens, _leading(system, others, first), system, turn))


def may_fit_more(messages: Sequence[Message], header: Header) -> bool:
    """Whether more of the newest turn may fit if system messages other than the opening ones are left out.

    Args:
        messages: all system messages, and those of the other messages that fit beside them.
        header: the state of the conversation.
    """
    others = by_turn([message for message in messages if message.role != _SYSTEM], has_all=True)
    messages = _in_order([message for message in messages if message.role == _SYSTEM], others)
    question = next((n for n in range(len(messages) - 1, -1, -1) if starts_turn(messages[n])), None)
    if question is None or len(messages) - question == header.last_seq - (messages[question].seq or 0) + 1:
        return False
    system = [message for message in messages if message.role == _SYSTEM]
    return len(_leading(system, (), header.base_seq + 1)) < len(system)


def _size(messages: Sequence[Message], budget: Budget, room: int | None, *, has_all: bool) -> int | None:
    """The number of newest messages that form the turns that fit; ``room`` is the number of tokens they may have."""
    taken = turns = tokens = 0
    for size, message in enumerate(reversed(messages), 1):
        tokens += message.tokens or 0
        if (budget.messages is not None and size > budget.messages) or (room is not None and tokens > room):
            return taken
        if starts_turn(message):
            if turns == budget.turns:
                return taken
            taken, turns = size, turns + 1
            if turns == budget.turns and not budget.greeting:
                return taken
    if not has_all:
        return None
    return len(messages) if budget.greeting else taken


def _within(
    tokens: int, leading: Sequence[Message], system: Sequence[Message], turn: Sequence[Message]
) -> tuple[list[Message], list[Message]]:
    """The system messages and the part of the newest turn that fit into ``tokens``, where not all of both fit."""
    needed = _tokens(leading) + _tokens(turn[:1])
    if needed > tokens:
        raise WindowTooSmall(needed, tokens)
    shown = [*turn[:1], *_fitting(turn[1:], tokens - needed)]
    notes = _fitting(system[len(leading) :], tokens - _tokens(leading) - _tokens(shown))
    return [*leading, *notes], shown


def _leading(system: Sequence[Message], others: Sequence[Message], first: int | None) -> list[Message]:
    """The system messages that open the conversation: before the first message of another role."""
    if first is None:
        first = min((message.seq or 0 for message in (*system[:1], *others[:1])), default=0)
    return [message for place, message in enumerate(system, first) if message.seq == place]


def _fitting(messages: Sequence[Message], room: int) -> Sequence[Message]:
    """The newest messages that have at most ``room`` tokens together."""
    spent = accumulate(message.tokens or 0 for message in reversed(messages))
    return _ending(messages, sum(1 for _ in takewhile(room.__ge__, spent)))


def _ending(messages: Sequence[Message], size: int) -> Sequence[Message]:
    return messages[len(messages) - size :] if size < len(messages) else messages


def _in_order(system: Sequence[Message], others: Sequence[Message]) -> list[Message]:
    if not system:
        return list(others)
    every = [*system, *others]
    return sorted(every, key=_by_turn if all(each.turn is not None for each in every) else _by_position)


def by_turn(messages: Sequence[Message], *, has_all: bool) -> list[Message]:
    """Sort messages other than system messages by turn, so that a late answer follows its own question.

    Unless ``has_all``, messages are left out whose turn is older than the one before the first question here, because
    the rest of their turn may be missing. Messages without turn numbers stay in their order.
    """
    numbers = [message.turn for message in messages]
    known = [number for number in numbers if number is not None]
    if len(known) < len(numbers) or (has_all and known == sorted(known)):
        return list(messages)
    if not has_all:
        oldest = next((message.turn for message in messages if starts_turn(message)), None)
        least = max(known, default=0) if oldest is None else oldest - 1
        messages = [message for message in messages if (message.turn or 0) >= least]
    return sorted(messages, key=_by_turn)


def _tokens(messages: Sequence[Message]) -> int:
    return sum(message.tokens or 0 for message in messages)
