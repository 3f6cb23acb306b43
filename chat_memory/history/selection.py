"""Owns where a history is cut: which turns a summary replaces, and what a regenerated answer keeps; pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate, takewhile
from typing import NamedTuple

from chat_memory.choices import Role
from chat_memory.records import Message, Summary
from chat_memory.rules.callers import Callers
from chat_memory.rules.calls import Call, Key, answers, calls, starts_turn

SUMMARY_PREFIX = "Previous conversation summary: "
UNKNOWN = -1
"""In place of the index of a call that is not among the messages."""

Link = tuple[int, int]
"""The index of a call and the index of one of its results."""


class Trait(NamedTuple):
    """What decides on cuts at a message: its position, whether it begins a turn, its calls, and those it answers."""

    seq: int
    starts_turn: bool
    called: tuple[Call, ...]
    answered: tuple[Key, ...]

    @classmethod
    def of(cls, message: Message) -> Trait:
        """The trait of a message, without the message's text."""
        called = tuple(Call(call.key, call.name) for call in calls(message))
        return cls(_seq(message), starts_turn(message), called, tuple(answers(message)))


def uncovered(window: Sequence[Message], last_seq: int) -> list[Message]:
    """A window without the turns that lie wholly within the positions up to ``last_seq``.

    A covered turn is kept if a later turn answers one of its calls.
    """
    dialogue = [message for message in window if not _is_system(message)]
    links = _links([Trait.of(message) for message in dialogue])
    separations = _separations([link for link in links if UNKNOWN not in link], len(dialogue))
    covered = sum(1 for _ in takewhile(lambda message: _seq(message) <= last_seq, dialogue))
    borders = [*(n for n, message in enumerate(dialogue) if starts_turn(message)), len(dialogue)]
    cut = max((border for border in borders if border <= covered and not separations[border]), default=0)
    kept = {_seq(message) for message in dialogue[cut:]}
    return [message for message in window if _is_system(message) or _seq(message) in kept]


def with_summary(window: Sequence[Message], summary: Summary) -> list[Message]:
    """A window with a summary behind the system messages that open it."""
    opening = next((n for n, message in enumerate(window) if not _is_system(message)), len(window))
    return [*window[:opening], summary_message(summary), *window[opening:]]


def summary_message(summary: Summary) -> Message:
    """A summary as the system message that a model is shown."""
    return Message.system(SUMMARY_PREFIX + summary.text, tokens=summary.tokens)


def orphaned(messages: Sequence[Trait]) -> bool:
    """Whether one of the messages answers a call that is not among them."""
    return any(call == UNKNOWN for call, _result in _links(messages))


def last_kept(messages: Sequence[Trait], at: int) -> int | None:
    """The last position to keep if the message at ``at`` is to be written again; None: there is no such message.

    Everything before it is kept. A question at ``at`` is kept too, because it gets a new answer. If this would separate
    a call from one of its results, only the messages before the call are kept.

    Args:
        messages: all that are shown, or those from ``at`` on if they are not ``orphaned``.
        at: the position.
    """
    index = next((n for n, message in enumerate(messages) if message.seq == at), None)
    if index is None:
        return None
    links = [link for link in _links(messages) if UNKNOWN not in link]
    separations = _separations(links, len(messages))
    cut = index + messages[index].starts_turn
    while separations[cut]:
        cut -= 1
    return messages[0].seq - 1 + cut


def _links(messages: Sequence[Trait]) -> list[Link]:
    callers, links = Callers(), []
    for index, message in enumerate(messages):
        callers.note(index, message.called)
        places = [callers.answered(key) for key in message.answered]
        links += [(place[0] if place else UNKNOWN, index) for place in places]
    return links


def _separations(links: Iterable[Link], size: int) -> list[int]:
    """The number of links that a cut separates, for a cut before each of ``size`` messages and one after the last."""
    change = [0] * (size + 1)
    for call, result in links:
        change[call + 1] += 1
        change[result + 1] -= 1
    return list(accumulate(change))


def _is_system(message: Message) -> bool:
    return message.role == Role.SYSTEM.value


def _seq(message: Message) -> int:
    return message.seq or 0
