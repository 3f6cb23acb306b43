"""Owns the one way to work across workspaces, so that a test can forbid every other; it must not run queries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_spanning: ContextVar[bool] = ContextVar("chat_memory_spanning_workspaces", default=False)


@contextmanager
def across_workspaces() -> Iterator[None]:
    """Within it a statement may do without a workspace predicate: retention, erasure, statistics, the admin."""
    before = _spanning.set(True)
    try:
        yield
    finally:
        _spanning.reset(before)


def spans_workspaces() -> bool:
    """Whether the calling code is inside ``across_workspaces``."""
    return _spanning.get()
