"""Watches every statement of the suite: what the package runs names a workspace, unless it says that it spans all."""

import re
import sys
from collections.abc import Callable, Iterator
from functools import cache, lru_cache, wraps
from pathlib import Path
from types import FrameType
from typing import Any

import psycopg
import pytest
from django.db.backends.sqlite3.base import SQLiteCursorWrapper

import chat_memory
from chat_memory.storage.tenancy import spans_workspaces

PACKAGE = Path(chat_memory.__file__).parent
UNBOUND = frozenset({"migrations", "testing"})
"""The rooms that may run statements over all tenants; every other one does so inside `across_workspaces` alone."""
TENANT_TABLE = re.compile(
    r"\b(from|into|update|join)\s+\"?chat_memory_(session|message|summary|revision)\b", re.IGNORECASE
)
PREDICATE = re.compile(r"\bwhere\b.*(\bworkspace_id\"?\s*(=|in\b)|\bslug\"?\s*=)", re.IGNORECASE | re.DOTALL)
INSERT = re.compile(r"\s*insert\s+(or\s+ignore\s+)?into\s+\S+\s*\([^)]*\bworkspace_id\b", re.IGNORECASE)


class Watch:
    """The statements seen without a predicate, and how many were looked at."""

    def __init__(self) -> None:
        self.seen = 0
        self.loose: list[str] = []

    def look(self, statement: str) -> None:
        if not _names_tenants(statement) or spans_workspaces() or not _from_bound_room():
            return
        self.seen += 1
        if not _names_a_workspace(statement):
            self.loose.append(statement)


@pytest.fixture(scope="session")
def tenancy_watch() -> Iterator[Watch]:
    """Both drivers' cursors report to it, so the raw path is seen as it is."""
    watch = Watch()
    with pytest.MonkeyPatch.context() as patch:
        for cursor in (psycopg.Cursor, SQLiteCursorWrapper):
            for method in ("execute", "executemany"):
                patch.setattr(cursor, method, _reporting(getattr(cursor, method), watch))
        yield watch


@pytest.fixture(autouse=True)
def _within_one_workspace(tenancy_watch: Watch) -> Iterator[None]:
    """No test may run a statement that could reach another tenant."""
    yield
    loose, tenancy_watch.loose = tenancy_watch.loose, []
    assert not loose, "statements without a workspace predicate:\n" + "\n".join(loose)


def _reporting(execute: Callable[..., Any], watch: Watch) -> Callable[..., Any]:
    @wraps(execute)
    def reporting(self: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(query, str):
            watch.look(query)
        return execute(self, query, *args, **kwargs)

    return reporting


# Remembered, since every statement of the suite passes here.
@lru_cache(maxsize=4096)
def _names_tenants(statement: str) -> bool:
    return TENANT_TABLE.search(statement) is not None


@lru_cache(maxsize=4096)
def _names_a_workspace(statement: str) -> bool:
    return bool(PREDICATE.search(statement) or INSERT.match(statement))


@cache
def _is_bound(filename: str) -> bool:
    path = Path(filename)
    return PACKAGE in path.parents and path.relative_to(PACKAGE).parts[0] not in UNBOUND


def _from_bound_room() -> bool:
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        if _is_bound(frame.f_code.co_filename):
            return True
        frame = frame.f_back
    return False
