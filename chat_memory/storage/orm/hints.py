"""Owns what this process has seen of conversations whose current branch is not their first row.

A hint only chooses which statement is tried first: a wrong one costs one more statement and never changes an answer.
"""

from __future__ import annotations

from chat_memory.choices import CURRENT
from chat_memory.records import Address

REMEMBERED = 10_000
"""At most this many conversations are remembered; when full, all are forgotten."""

_branched: set[tuple[str, str, str]] = set()


def expects_branch(alias: str, at: Address) -> bool:
    """Whether the conversation was last seen with another current branch than its first row."""
    return bool(_branched) and at.branch == CURRENT and (alias, at.workspace, at.key) in _branched


def note(alias: str, at: Address, *, branched: bool) -> None:
    """Remember, or forget, that the current branch of the conversation is not its first row."""
    if at.branch != CURRENT:
        return
    if not branched:
        _branched.discard((alias, at.workspace, at.key))
        return
    if len(_branched) >= REMEMBERED:
        _branched.clear()
    _branched.add((alias, at.workspace, at.key))
