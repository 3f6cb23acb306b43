"""Owns the cleanup: what is due goes in batches, each a transaction; a run may be killed, and run twice at once."""

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
        sessions: conversations removed, their branches with them.
        messages: the messages of those.
        cleared: messages removed that ``clear()`` had hidden, of conversations that stay.
        finished: False when the time was up before the work was done.
        entries_left: at most so many cache entries of what was removed, by this run or before it, are still in Redis,
            which could not be reached, or is not used any more; the next run with that Redis drops them.
        left_until: when the last of them expires by the settings; None: there is none, that time is past, or one stays
            until Redis evicts it.
        busy: conversations that another transaction held, left to the next run.
        attachments: files of attachments removed that no message refers to, or that something stopped half-way; those
            whose last message goes are removed with it, and do not count here.
        drafts: messages that were being streamed and that nobody wrote to any more, stored as far as they had come.
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
    """What became of a batch.

    Attributes:
        removed: how many rows were taken.
        messages: how many messages went.
        last: the id of the last row that was looked at; None: there was none.
        is_full: whether there were as many rows as asked for; otherwise they are the last.
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

    Of what stays, abandoned drafts become messages.

    A batch is one transaction; rows that another transaction holds are left to the next run, so two cleanups share the
    work and a conversation that is written to is kept. Before that it drops the cache entries that an earlier removal
    had to leave, since Redis could not be reached.

    Args:
        days: remove conversations whose newest message is older; None: RETENTION_DAYS. Pinned ones stay.
        workspace: in this one only.
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
    """Forget what readers are told of, once it is TOMBSTONE_DAYS old; a day later, since clocks may differ."""
    before = datetime.now(UTC) - timedelta(days=settings.tombstone_days + 1)
    with across_workspaces():
        run_write(alias, lambda **_nested: removal.remove_notes(alias, before, due.tenant))


def _remove_due(alias: str, due: Policy, batch_size: int, end: float, on_batch: Callable[[int], None]) -> Report:
    """Remove what the policy says, until the deadline."""
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
    """Lock the first of the rows and remove what ``remove`` takes of them, in one transaction.

    Where somebody holds a part of one of them, such as a message, each goes by itself, and that one stays.
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
    """Whether one row was taken, and how many messages went."""
    try:
        return _taken(alias, row, 1, remove)[:2]
    except Busy:
        return 0, 0


def _remove_conversations(alias: str, roots: list[Leaving]) -> int:
    """Remove conversations with their branches; how many messages went."""
    return removal.remove_sessions(alias, _families(alias, roots))


def _remove_cleared(alias: str, rows: list[Leaving]) -> int:
    """Remove what sessions hide; how many messages went."""
    sessions = among(alias, [row.id for row in rows])
    messages = removal.remove_cleared(alias, sessions)
    Session.objects.using(alias).filter(pk__in=sessions).update(cleared_at=None)
    return messages


def _locked(rows: QuerySet[Session], size: int) -> list[Leaving]:
    """The first of the rows, along the primary key, so that no row is looked at twice.

    The lock sees the newest row: one that was written to since the statement began no longer matches. A branch is
    written to under the lock of its root.
    """
    return removal.leaving(rows.order_by("pk").select_for_update(skip_locked=True)[:size])


def _families(alias: str, roots: list[Leaving]) -> list[Leaving]:
    """The rows of the conversations, branches of branches included."""
    rows, family, level = Session.objects.using(alias), list(roots), roots
    while level:
        level = removal.leaving(rows.filter(parent_id__in=among(alias, [row.id for row in level])))
        family += level
    return family
