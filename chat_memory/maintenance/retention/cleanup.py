"""Owns the cleanup: it removes what is due in batches, each a transaction; a run may be killed or run concurrently."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import msgspec
from django.db.models import QuerySet

from chat_memory import wiring
from chat_memory.cache import CachedAdapter
from chat_memory.conf import settings
from chat_memory.exceptions import Busy
from chat_memory.maintenance import abandoned, forgotten
from chat_memory.maintenance.bounds import deadline
from chat_memory.maintenance.retention.policy import Policy, policy
from chat_memory.maintenance.tenants import database
from chat_memory.models import Session
from chat_memory.storage.orm import removal
from chat_memory.storage.orm.cursor import among
from chat_memory.storage.orm.removal import Leaving
from chat_memory.storage.orm.transactions import run_write
from chat_memory.storage.tenancy import across_workspaces

BATCH_SIZE = 1_000
MAX_BATCH_SIZE = 10_000
Remove = Callable[[str, list[Leaving]], int]


class Report(msgspec.Struct, frozen=True):
    """What a cleanup removed.

    Attributes:
        sessions: the number of conversations removed, each with its branches.
        messages: the number of their messages.
        cleared: the number of messages removed that ``clear()`` had hidden in conversations that stay.
        finished: False if the time was up before the work was done.
        entries_left: the most cache entries of removed conversations that may still be in Redis, because it could not
            be reached or is no longer configured; the next run with that Redis deletes them.
        left_until: when the last of these entries expires; None: there are none, that time is past, or an entry stays
            until Redis evicts it.
        busy: the number of conversations that another transaction locked; the next run takes them.
        attachments: the number of files removed that no message refers to, or whose upload or removal was interrupted.
            A file removed together with its last message is not counted.
        drafts: the number of abandoned drafts stored as messages, with their text so far.
    """

    sessions: int = 0
    messages: int = 0
    cleared: int = 0
    finished: bool = True
    entries_left: int = 0
    left_until: datetime | None = None
    busy: int = 0
    attachments: int = 0
    drafts: int = 0


class _Batch(NamedTuple):
    """The result of a batch.

    Attributes:
        removed: the number of session rows handled.
        messages: the number of messages removed.
        last: the id of the last row that was looked at; None: there was none.
        is_full: whether there were as many rows as asked for; if not, this was the last batch.
    """

    removed: int
    messages: int
    last: UUID | None
    is_full: bool


def clean_up(
    days: int | None = None,
    *,
    workspace: str | None = None,
    batch_size: int = BATCH_SIZE,
    max_seconds: float | None = None,
    using: str | None = None,
    on_batch: Callable[[int], None] = lambda _: None,
) -> Report:
    """Remove for good what is due: idle and expired conversations, and messages cleared CLEARED_DAYS ago.

    In the conversations that stay, abandoned drafts are stored as messages.

    A batch is one transaction. Rows that another transaction locks are left to the next run, so two cleanups share the
    work, and a conversation that is being written to is kept. First of all, the cleanup deletes the cache entries that
    an earlier removal left behind because Redis could not be reached.

    Args:
        days: remove conversations whose newest message is older than this; None: RETENTION_DAYS. Pinned ones stay.
        workspace: the slug of the only workspace to clean up; None: all.
        batch_size: conversations per transaction, 1 to 10,000.
        max_seconds: begin no batch after this time.
        using: the database alias; None: where the router writes sessions.
        on_batch: called after each batch with the number of conversations removed so far.

    Raises:
        ValidationError: no days, or a number out of range.
        WorkspaceNotFound: there is no such workspace.
    """
    alias = database(using)
    due = policy(alias, days, workspace)
    end = deadline(batch_size, MAX_BATCH_SIZE, max_seconds)
    adapter = wiring.adapter(alias)
    if isinstance(adapter, CachedAdapter):
        adapter.drop_what_is_left()
    report = _remove_due(alias, due, batch_size, end, on_batch)
    if report.finished:
        done = {"attachments": forgotten.remove(alias, due.tenant), "drafts": abandoned.settle(alias, due.tenant)}
        report = msgspec.structs.replace(report, **done)
        _forget_notes(alias, due)
    if adapter.undropped is None:
        return report
    left = adapter.undropped.left()
    return msgspec.structs.replace(report, entries_left=left.entries, left_until=left.until)


def _forget_notes(alias: str, due: Policy) -> None:
    """Delete the notes of deletions and changes that are TOMBSTONE_DAYS and a day old; a day more, as clocks differ."""
    before = datetime.now(UTC) - timedelta(days=settings.tombstone_days + 1)
    with across_workspaces():
        run_write(alias, lambda **_nested: removal.remove_notes(alias, before, due.tenant))


def _remove_due(alias: str, due: Policy, batch_size: int, end: float, on_batch: Callable[[int], None]) -> Report:
    """Remove what is due by the policy, until the deadline."""
    sessions = messages = cleared = 0
    batch: _Batch | None = None
    while batch is None or batch.is_full:
        batch = _take(alias, _behind(batch, due.conversations(alias)), batch_size, _remove_conversations)
        sessions += batch.removed
        messages += batch.messages
        if batch.removed:
            on_batch(sessions)
        if time.monotonic() >= end:
            return Report(sessions, messages, finished=False)
    batch = None
    while batch is None or batch.is_full:
        batch = _take(alias, _behind(batch, due.cleared(alias)), batch_size, _remove_cleared)
        cleared += batch.messages
        if time.monotonic() >= end:
            return Report(sessions, messages, cleared, finished=not batch.is_full)
    with across_workspaces():
        busy = due.conversations(alias).count() + due.cleared(alias).count()
    return Report(sessions, messages, cleared, busy=busy)


def _behind(batch: _Batch | None, rows: QuerySet[Session]) -> QuerySet[Session]:
    """Those of the rows that come after a batch."""
    return rows if batch is None or batch.last is None else rows.filter(pk__gt=batch.last)


def _take(alias: str, rows: QuerySet[Session], size: int, remove: Remove) -> _Batch:
    """Lock the first of the rows and call ``remove`` with them, in one transaction.

    If another transaction locks a part of one of them, such as a message, each row is tried on its own, and that one
    stays.
    """
    with across_workspaces():
        try:
            return _taken(alias, rows, size, remove)
        except Busy:
            looked_at = list(rows.order_by("pk").values_list("pk", flat=True)[:size])
            done = [_taken_alone(alias, rows.filter(pk=each), remove) for each in looked_at]
    removed, messages = (sum(numbers) for numbers in zip(*done, strict=True)) if done else (0, 0)
    return _Batch(removed, messages, looked_at[-1] if looked_at else None, len(looked_at) == size)


def _taken(alias: str, rows: QuerySet[Session], size: int, remove: Remove) -> _Batch:
    def write(**_nested: bool) -> _Batch:
        locked = _locked(rows, size)
        messages = remove(alias, locked) if locked else 0
        return _Batch(len(locked), messages, locked[-1].id if locked else None, len(locked) == size)

    return run_write(alias, write, whole=True)


def _taken_alone(alias: str, row: QuerySet[Session], remove: Remove) -> tuple[int, int]:
    """The number of rows handled, 1 or 0, and of messages removed."""
    try:
        return _taken(alias, row, 1, remove)[:2]
    except Busy:
        return 0, 0


def _remove_conversations(alias: str, roots: list[Leaving]) -> int:
    """Remove conversations with their branches, and return the number of messages removed."""
    return removal.remove_sessions(alias, _families(alias, roots))


def _remove_cleared(alias: str, rows: list[Leaving]) -> int:
    """Remove the cleared messages of sessions, and return their number."""
    sessions = among(alias, [row.id for row in rows])
    messages = removal.remove_cleared(alias, sessions)
    Session.objects.using(alias).filter(pk__in=sessions).update(cleared_at=None)
    return messages


def _locked(rows: QuerySet[Session], size: int) -> list[Leaving]:
    """Lock the first of the rows in the order of the primary key, so that no row is looked at twice.

    The locking statement checks the newest version of a row: one that was written to since it began no longer matches.
    Writes to a branch lock its root, so the lock of the root is enough.
    """
    return removal.leaving(rows.order_by("pk").select_for_update(skip_locked=True)[:size])


def _families(alias: str, roots: list[Leaving]) -> list[Leaving]:
    """The rows of the conversations, branches of branches included."""
    rows, family, level = Session.objects.using(alias), list(roots), roots
    while level:
        level = removal.leaving(rows.filter(parent_id__in=among(alias, [row.id for row in level])))
        family += level
    return family
