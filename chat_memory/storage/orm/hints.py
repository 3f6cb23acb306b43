"""Owns what this process has seen of conversations: that they are there, and which have another current branch.

A hint only chooses which statement is tried first: a wrong one costs one more statement and never changes an answer.
"""

from __future__ import annotations

from chat_memory.choices import CURRENT
from chat_memory.records import Address

REMEMBERED = 10_000
"""At most this many conversations are remembered of each kind; when full, all are forgotten."""

_stored: set[tuple[str, str, str]] = set()
_branched: set[tuple[str, str, str]] = set()


def expects_conversation(alias: str, at: Address) -> bool:
    """Whether this process has appended to the conversation before."""
    return (alias, at.workspace, at.key) in _stored


def expects_branch(alias: str, at: Address) -> bool:
    """Whether the conversation was last seen with another current branch than its first row."""
    return bool(_branched) and at.branch == CURRENT and (alias, at.workspace, at.key) in _branched


def note_stored(alias: str, at: Address) -> None:
    """Remember that the conversation is there."""
    _remember(_stored, (alias, at.workspace, at.key))


def note(alias: str, at: Address, *, branched: bool) -> None:
    """Remember, or forget, that the current branch of the conversation is not its first row."""
    if at.branch != CURRENT:
        return
    conversation = (alias, at.workspace, at.key)
    if branched:
        _remember(_branched, conversation)
    else:
        _branched.discard(conversation)


def forget(alias: str, at: Address) -> None:
    """Forget the conversation, which is gone."""
    conversation = (alias, at.workspace, at.key)
    _stored.discard(conversation)
    _branched.discard(conversation)


def _remember(conversations: set[tuple[str, str, str]], conversation: tuple[str, str, str]) -> None:
    if len(conversations) >= REMEMBERED:
        conversations.clear()
    conversations.add(conversation)
