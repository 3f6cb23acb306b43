"""Owns the read of messages; it must not write."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from functools import partial
from operator import itemgetter
from typing import Any
from uuid import UUID

from django.db import connections

from chat_memory.records import Address, Header, Slice, Span
from chat_memory.storage.mapping import to_messages
from chat_memory.storage.orm import statements
from chat_memory.storage.orm.cursor import fetch

_START, _END = 0, 2**63 - 1
_SEQ = itemgetter(0)


def peek(alias: str, at: Address) -> Header | None:
    """The header alone; the contract is ``MessageStore.peek``."""
    rows = _fetch(alias, at, statements.peek, {})
    if not rows:
        return None
    session_id, *numbers = rows[0]
    return Header(session_id if isinstance(session_id, UUID) else UUID(session_id), *numbers)


def read(alias: str, at: Address, span: Span) -> Slice:
    """The header and the messages of a span from one snapshot; the contract is ``MessageStore.read``."""
    size = span.last if span.last is not None else span.first
    shape = {"newest": span.last is not None, "bounded": size is not None}
    params: dict[str, Any] = {
        "after": _START if span.after is None else span.after,
        "before": _END if span.before is None else span.before,
        "size": size,
    }
    rows = _fetch(alias, at, partial(statements.read, **shape), params)
    if not rows:
        return Slice([], None)
    header = next(index for index, row in enumerate(rows) if row[-1] is not None)
    session_id, *numbers = rows.pop(header)[-1].split()
    rows.sort(key=_SEQ)
    return Slice(to_messages(rows, connections[alias].timezone or UTC), Header(UUID(session_id), *map(int, numbers)))


def _fetch(alias: str, at: Address, statement: Callable[..., str], params: dict[str, Any]) -> list[tuple[Any, ...]]:
    """The rows of a session by the ids a handle remembers; where nothing is under them any more, by its names."""
    connection = connections[alias]
    if at.session_id is not None:
        session_id = at.session_id if connection.features.has_native_uuid_field else at.session_id.hex
        known = params | {"session_id": session_id, "workspace_id": at.workspace_id}
        rows = fetch(connection, statement(by_id=True), known)
        if rows or at.pinned:
            return rows
    named = params | {"workspace": at.workspace, "key": at.key, "branch": at.branch}
    return fetch(connection, statement(by_id=False), named)
