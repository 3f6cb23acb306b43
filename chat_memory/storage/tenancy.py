"""Owns the only way to permit queries across workspaces; a test forbids all other such queries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_spanning: ContextVar[bool] = ContextVar("chat_memory_spanning_workspaces", default=False)


@contextmanager
def across_workspaces() -> Iterator[None]:
    """Allow statements without a workspace predicate in the block, for retention, erasure, statistics and the admin."""
    token = _spanning.set(True)
    try:
        yield
    finally:
        _spanning.reset(token)


def spans_workspaces() -> bool:
    """Whether the calling code runs inside ``across_workspaces``."""
    return _spanning.get()
