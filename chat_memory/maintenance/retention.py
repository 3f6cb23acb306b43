"""Owns which conversations have had their time, and their removal in bounded batches; it must not run unbounded."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet

from chat_memory import wiring
from chat_memory.conf import settings
from chat_memory.exceptions import ValidationError
from chat_memory.history.announcing import announce
from chat_memory.history.conversation import Conversation
from chat_memory.maintenance.tenants import database, workspace_id
from chat_memory.models import Message, Revision, Session, Summary
from chat_memory.records import Address
from chat_memory.signals import session_deleted
from chat_memory.storage.orm.removal import remove, with_branches
from chat_memory.storage.orm.transactions import retrying
from chat_memory.storage.tenancy import across_workspaces

BATCH_SIZE = 500
MAX_BATCH_SIZE = 10_000
MAX_DAYS = 36_500

Removed = tuple[int, int]
"""How many sessions and how many messages."""
Removal = Callable[[str, QuerySet[Session], list[Any]], Removed]
"""What to do with some of the rows by their ids, which are locked."""


class Report(msgspec.Struct, frozen=True):
    """What a cleanup removed.

    Attributes:
        sessions: conversations removed, their branches with them.
        messages: the messages of those.
        cleared: messages removed that ``clear()`` had hidden, of conversations that stay.
        finished: False when the time was up before the work was done.
    """

    sessions: int = 0
    messages: int = 0
    cleared: int = 0
    finished: bool = True


class Doomed(msgspec.Struct, frozen=True):
    """A conversation whose time is over."""

    workspace: str
    key: str


class Policy(msgspec.Struct, frozen=True):
    """What is to go, fixed when the run begins: moments in UTC, one workspace or all."""

    idle_since: datetime
    expired_at: datetime
    cleared_at: datetime
    workspace_id: int | None = None


def clean_up(
    days: int | None = None,
    *,
    workspace: str | None = None,
    batch_size: int = BATCH_SIZE,
    max_seconds: float | None = None,
    using: str | None = None,
    on_batch: Callable[[int], None] = lambda _: None,
) -> Report:
    """Remove for good what had its time: idle and expired conversations, and messages cleared CLEARED_DAYS ago.

    A batch is one transaction; rows another transaction holds are left to the next run, so two cleanups share the work
    and a conversation somebody is writing to is kept.

    Args:
        days: remove conversations without a change for as many days; None: RETENTION_DAYS. Pinned ones stay.
        workspace: in this one only.
        batch_size: conversations per transaction, 1 to 10,000.
        max_seconds: begin no batch after this time.
        using: the database alias; None: where the router writes sessions.
        on_batch: called after each batch with the number of conversations removed so far.

    Raises:
        ValidationError: no days (FEATURES J02), or a number out of range.
        WorkspaceNotFound: there is no such workspace.
    """
    alias = database(using)
    policy = _policy(alias, days, workspace)
    if not 1 <= batch_size <= MAX_BATCH_SIZE:
        raise ValidationError(f"must be from 1 to {MAX_BATCH_SIZE}", field="batch_size")
    if max_seconds is not None and not max_seconds > 0:
        raise ValidationError("must be more than 0", field="max_seconds")
    deadline = None if max_seconds is None else time.monotonic() + max_seconds
    done = Report()
    with across_workspaces():
        for sessions, messages in _batches(alias, _doomed(alias, policy), _remove, batch_size):
            done = msgspec.structs.replace(done, sessions=done.sessions + sessions, messages=done.messages + messages)
            on_batch(done.sessions)
            if _over(deadline):
                return msgspec.structs.replace(done, finished=False)
        for _sessions, messages in _batches(alias, _cleared(alias, policy), _remove_cleared, batch_size):
            done = msgspec.structs.replace(done, cleared=done.cleared + messages)
            if _over(deadline):
                return msgspec.structs.replace(done, finished=False)
    return done


def preview(days: int | None = None, *, workspace: str | None = None, using: str | None = None) -> Iterator[Doomed]:
    """The conversations ``clean_up`` would remove, without changing anything.

    Raises:
        ValidationError: no days, or a number out of range.
        WorkspaceNotFound: there is no such workspace.
    """
    alias = database(using)
    return _listed(_doomed(alias, _policy(alias, days, workspace)))


def _policy(alias: str, days: int | None, workspace: str | None) -> Policy:
    idle_days, source = (settings.retention_days, "RETENTION_DAYS") if days is None else (days, "days")
    if idle_days is None:
        raise ValidationError("must be given, since RETENTION_DAYS is not set", field="days")
    if type(idle_days) is not int or not 1 <= idle_days <= MAX_DAYS:
        raise ValidationError(f"must be a whole number from 1 to {MAX_DAYS}", field=source)
    now = datetime.now(UTC)
    cleared = now - timedelta(days=settings.cleared_days)
    tenant = None if workspace is None else workspace_id(alias, workspace)
    return Policy(now - timedelta(days=idle_days), now, cleared, tenant)


def _rows(alias: str, policy: Policy) -> QuerySet[Session]:
    rows = Session.objects.using(alias)
    return rows.all() if policy.workspace_id is None else rows.filter(workspace_id=policy.workspace_id)


def _doomed(alias: str, policy: Policy) -> QuerySet[Session]:
    """Conversations without a change on any branch, unless pinned, and those whose own time of expiry is over."""
    busy = Session.objects.using(alias).filter(
        workspace_id=OuterRef("workspace_id"),
        key=OuterRef("key"),
        parent__isnull=False,
        updated_at__gte=policy.idle_since,
    )
    idle = Q(updated_at__lt=policy.idle_since, pinned=False) & ~Exists(busy)
    return _rows(alias, policy).filter(idle | Q(expires_at__lte=policy.expired_at), parent__isnull=True)


def _cleared(alias: str, policy: Policy) -> QuerySet[Session]:
    """Sessions with hidden messages old enough to go; what a branch may still show stays."""
    branches = Session.objects.using(alias).filter(parent_id=OuterRef("pk"))
    return _rows(alias, policy).filter(~Exists(branches), base_seq__gt=0, cleared_at__lt=policy.cleared_at)


def _listed(rows: QuerySet[Session]) -> Iterator[Doomed]:
    rows = rows.order_by("pk").select_related("workspace").only("key", "workspace__slug")
    page = _page(rows)
    while page:
        yield from (Doomed(row.workspace.slug, row.key) for row in page)
        page = _page(rows.filter(pk__gt=page[-1].pk))


def _page(rows: QuerySet[Session]) -> list[Session]:
    # Not around the generator: what its caller asks the database between two answers is none of ours.
    with across_workspaces():
        return list(rows[:MAX_BATCH_SIZE])


def _batches(alias: str, rows: QuerySet[Session], remove: Removal, size: int) -> Iterator[Removed]:
    """Batch after batch along the primary key, so that no row is looked at twice however many are gone."""
    ids, removed = _batch(alias, rows, rows, remove, size)
    while ids:
        yield removed
        ids, removed = _batch(alias, rows, rows.filter(pk__gt=ids[-1]), remove, size)


def _batch(
    alias: str, rows: QuerySet[Session], rest: QuerySet[Session], remove: Removal, size: int
) -> tuple[list[Any], Removed]:
    def write() -> tuple[list[Any], Removed]:
        with transaction.atomic(using=alias):
            # The lock sees the newest row: one that was written to since the statement began no longer matches.
            locked = rest.order_by("pk").select_for_update(skip_locked=True)
            ids = list(locked.values_list("pk", flat=True)[:size])
            return ids, remove(alias, rows, ids) if ids else (0, 0)

    return retrying(alias, write)


def _remove(alias: str, rows: QuerySet[Session], roots: list[Any]) -> Removed:
    sessions = Session.objects.using(alias)
    family = with_branches(sessions.select_for_update(), roots)
    if len(family) > len(roots):
        # A branch may have been written to before its lock was ours.
        roots = list(rows.filter(pk__in=roots).values_list("pk", flat=True))
        family = with_branches(sessions, roots)
    if not family:
        return 0, 0
    if session_deleted.has_listeners(Conversation):  # else the names are not worth a query
        for workspace, key in sessions.filter(pk__in=roots).values_list("workspace__slug", "key"):
            announce(session_deleted, Conversation, wiring.adapter(alias), Address(workspace, key))
    return len(roots), remove(alias, family)


def _remove_cleared(alias: str, _rows: QuerySet[Session], ids: list[Any]) -> Removed:
    """The counters and the version stay: no reader sees a difference."""
    hidden: dict[str, Any] = {"session_id__in": ids}
    base = F("session__base_seq")
    messages = Message.objects.using(alias).filter(seq__lte=base, **hidden)._raw_delete(alias)
    Revision.objects.using(alias).filter(seq__lte=base, **hidden)._raw_delete(alias)
    Summary.objects.using(alias).filter(last_seq__lte=base, **hidden)._raw_delete(alias)
    Session.objects.using(alias).filter(pk__in=ids).update(cleared_at=None)
    return 0, messages


def _over(deadline: float | None) -> bool:
    return deadline is not None and time.monotonic() >= deadline
