"""Owns this process' hints about conversations: which exist, and which have another current branch than ``main``.

A hint only selects the statement that is tried first; a wrong hint costs one more statement and changes no answer.
"""

from __future__ import annotations

from chat_memory.choices import CURRENT
from chat_memory.records import Address

REMEMBERED = 10_000
"""At most this many conversations are kept for each kind of hint; when full, all are forgotten."""

_stored: set[tuple[str, str, str]] = set()
_branched: set[tuple[str, str, str]] = set()


def expects_conversation(alias: str, at: Address) -> bool:
    """Whether this process has appended to the conversation before."""
    return (alias, at.workspace, at.key) in _stored


def expects_branch(alias: str, at: Address) -> bool:
    """Whether another branch than ``main`` is current, as far as this process knows."""
    return bool(_branched) and at.branch == CURRENT and (alias, at.workspace, at.key) in _branched


def note_stored(alias: str, at: Address) -> None:
    """Record that the conversation exists."""
    _remember(_stored, (alias, at.workspace, at.key))


def note(alias: str, at: Address, *, branched: bool) -> None:
    """Record whether another branch than ``main`` is current; an address that names a branch records nothing."""
    if at.branch != CURRENT:
        return
    conversation = (alias, at.workspace, at.key)
    if branched:
        _remember(_branched, conversation)
    else:
        _branched.discard(conversation)


def forget(alias: str, at: Address) -> None:
    """Remove all hints about a conversation that was deleted."""
    conversation = (alias, at.workspace, at.key)
    _stored.discard(conversation)
    _branched.discard(conversation)


def _remember(conversations: set[tuple[str, str, str]], conversation: tuple[str, str, str]) -> None:
    if len(conversations) >= REMEMBERED:
        conversations.clear()
    conversations.add(conversation)
