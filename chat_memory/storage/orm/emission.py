"""Owns the emission of change events for changed rows: once per change, after the commit."""

from __future__ import annotations

from functools import cache, partial
from typing import Any
from uuid import UUID

from django.db import connections, transaction

from chat_memory.models import Session
from chat_memory.records import Address, Header
from chat_memory.storage.changed import Changed, Kind, emit


class Source:
    """The sender of the change events of one database alias."""

    def __init__(self, alias: str) -> None:
        self.alias = alias

    def __repr__(self) -> str:
        return f"<Source {self.alias}>"


@cache
def source_of(alias: str) -> Source:
    """The sender for a database alias; always the same object."""
    return Source(alias)


def emit_after_commit(alias: str, *events: Changed) -> None:
    """Emit events together after the open transaction commits, at once where none is open, and never after a rollback.

    Without autocommit and without an ``atomic`` block, no event is emitted: Django cannot tell when the caller commits.
    """
    connection = connections[alias]
    if connection.in_atomic_block:
        transaction.on_commit(partial(emit, source_of(alias), *events), using=alias, robust=True)
    elif connection.get_autocommit():
        emit(source_of(alias), *events)


def changed_row(
    alias: str, kind: Kind, at: Address, row: Session, header: Header | None, *, nested: bool, **more: Any
) -> None:
    """Emit the event of a changed session row; ``more`` are further fields of Changed."""
    emit_after_commit(alias, row_event(alias, kind, at, row, header, nested=nested, **more))


def changed_branch(
    alias: str, kind: Kind, at: Address, session_id: UUID, branch: str, *, nested: bool, **more: Any
) -> None:
    """Emit the event of a changed branch, whose row need not exist any more; ``more`` are further fields of Changed."""
    emit_after_commit(alias, branch_event(alias, kind, at, session_id, branch, nested=nested, **more))


def row_event(
    alias: str, kind: Kind, at: Address, row: Session, header: Header | None, *, nested: bool, **more: Any
) -> Changed:
    """The event of ``changed_row``, for callers that emit several together, so that the cache drops all in one call."""
    return branch_event(alias, kind, at, row.pk, row.branch, key=row.key, header=header, nested=nested, **more)


def branch_event(
    alias: str,
    kind: Kind,
    at: Address,
    session_id: UUID,
    branch: str,
    *,
    nested: bool,
    key: str | None = None,
    **more: Any,
) -> Changed:
    """The event of ``changed_branch``; see ``row_event``. ``key``: the session's present key; None: that of ``at``."""
    return Changed(
        kind=kind,
        workspace=at.workspace,
        key=at.key if key is None else key,
        session_id=session_id,
        branch=branch,
        asked=at.branch,
        cache_ttl=at.cache_ttl,
        nested=nested,
        using=alias,
        **more,
    )
