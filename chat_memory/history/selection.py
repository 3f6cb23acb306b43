"""Owns where a history may be cut so that a provider accepts what is left, as pure functions; it must not read.

A provider refuses a tool result whose call it was not shown. A message in the role tool or function that names a
``tool_call_id`` answers the nearest call of that id before it; one that names none answers nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate

from chat_memory.choices import Role
from chat_memory.records import Message, Summary

SUMMARY_PREFIX = "Previous conversation summary: "
UNKNOWN = -1
"""Instead of the index of a call that is not among the messages."""

Link = tuple[int, int]
"""The index of a call and the index of one of its results."""


def pair_safe(window: Sequence[Message]) -> list[Message]:
    """The system messages of a window, and its longest ending that begins with a turn and separates no pair."""
    dialogue = _dialogue(window)
    separations = _separations(_links(dialogue), len(dialogue))
    return _from(window, dialogue, next(cut for cut in _borders(dialogue) if not separations[cut]))


def uncovered(window: Sequence[Message], last_seq: int) -> list[Message]:
    """A pair-safe window without the turns that lie wholly within the positions up to ``last_seq``.

    A covered turn stays where a later one answers its calls.
    """
    dialogue = _dialogue(window)
    separations = _separations(_links(dialogue), len(dialogue))
    covered = sum(_seq(message) <= last_seq for message in dialogue)
    cuts = [cut for cut in _borders(dialogue) if cut <= covered and not separations[cut]]
    return _from(window, dialogue, max(cuts, default=0))


def with_summary(window: Sequence[Message], summary: Summary) -> list[Message]:
    """A window with what came before it: the system messages that open it, the summary, and the rest."""
    opening = next((n for n, message in enumerate(window) if not _is_system(message)), len(window))
    return [*window[:opening], summary_message(summary), *window[opening:]]


def summary_message(summary: Summary) -> Message:
    """A summary as a model is shown it."""
    return Message.system(SUMMARY_PREFIX + summary.text, tokens=summary.tokens)


def orphaned(messages: Sequence[Message]) -> bool:
    """Whether one of the messages answers a call that is not among them."""
    return any(call == UNKNOWN for call, _result in _links(messages))


def last_kept(messages: Sequence[Message], at: int) -> int | None:
    """The last position to keep where the message at ``at`` is to be written again; None: there is no such message.

    All before it is kept, and so is a user's message there, which gets a new answer. Where that would separate a call
    from one of its results, only what is before the call.

    Args:
        messages: all that are shown, or those from ``at`` on where none of them is ``orphaned``.
        at: the position.
    """
    index = next((n for n, message in enumerate(messages) if message.seq == at), None)
    if index is None:
        return None
    links = [link for link in _links(messages) if UNKNOWN not in link]
    separations = _separations(links, len(messages))
    cut = index + (messages[index].role == Role.USER.value)
    while separations[cut]:
        cut -= 1
    return _seq(messages[0]) - 1 + cut


def _links(messages: Sequence[Message]) -> list[Link]:
    calls: dict[str, int] = {}
    links = []
    for index, message in enumerate(messages):
        calls.update(
            (call_id, index) for call in message.tool_calls or () if isinstance(call_id := call.get("id"), str)
        )
        if message.role in (Role.TOOL.value, Role.FUNCTION.value) and message.tool_call_id is not None:
            links.append((calls.get(message.tool_call_id, UNKNOWN), index))
    return links


def _separations(links: Iterable[Link], size: int) -> list[int]:
    """For a cut before each of so many messages, and one after the last: how many pairs it separates."""
    change = [0] * (size + 1)
    for call, result in links:
        change[call + 1] += 1
        change[result + 1] -= 1
    return list(accumulate(change))


def _borders(dialogue: Sequence[Message]) -> list[int]:
    """Where a window may begin: at each turn, or after everything."""
    return [*(n for n, message in enumerate(dialogue) if message.role == Role.USER.value), len(dialogue)]


def _from(window: Sequence[Message], dialogue: Sequence[Message], cut: int) -> list[Message]:
    kept = {_seq(message) for message in dialogue[cut:]}
    return [message for message in window if _is_system(message) or _seq(message) in kept]


def _dialogue(messages: Sequence[Message]) -> list[Message]:
    return [message for message in messages if not _is_system(message)]


def _is_system(message: Message) -> bool:
    return message.role == Role.SYSTEM.value


def _seq(message: Message) -> int:
    return message.seq or 0
