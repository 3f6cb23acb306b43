"""Owns the check that sessions agree with their messages, and the repair of counters; it never changes messages."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec
from django.db.models import Count, Exists, F, Max, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce, Greatest

from chat_memory import wiring
from chat_memory.cache import CachedAdapter
from chat_memory.cache.client import Unavailable
from chat_memory.choices import CURRENT, MAIN_BRANCH
from chat_memory.exceptions import ChatMemoryError, ValidationError
from chat_memory.maintenance import forgotten, unfinished
from chat_memory.maintenance.beside import Beside
from chat_memory.maintenance.calls import Notice, notices
from chat_memory.maintenance.tenants import database, workspace_id
from chat_memory.models import Message, Session
from chat_memory.records import Address
from chat_memory.rules.json_values import shown
from chat_memory.storage.changed import Kind
from chat_memory.storage.orm.emission import changed_row
from chat_memory.storage.orm.rows import move
from chat_memory.storage.orm.transactions import run_write
from chat_memory.storage.tenancy import across_workspaces

BATCH_SIZE = 500
SAMPLE, MAX_SAMPLE = 1_000, 100_000
"""The default and the largest number of cached sessions that one check compares."""
KEPT_VIOLATIONS = 1000
"""The maximum number of violations in a report; further ones are only counted."""


class Violation(msgspec.Struct, frozen=True):
    """A rule that stored data, or a cached entry, violates.

    Attributes:
        workspace: the workspace's slug; "" where the workspace does not exist.
        key: the session's key; for a session that does not exist, its id; for an attachment, its file; "" for several
            sessions at once.
        branch: the name of the branch; "" where the session does not exist.
        what: base_seq, last_seq, positions, duplicates, message_count, last_turn, workspace, orphans, attachment,
            draft, turn, pending, search, vectors or cache.
        detail: what is wrong, in words.
        repaired: whether it was repaired.
    """

    workspace: str
    key: str
    branch: str
    what: str
    detail: str
    repaired: bool = False


class Report(msgspec.Struct, frozen=True):
    """The result of a check.

    Attributes:
        sessions: the number of sessions that were checked; each branch counts.
        messages: the number of their visible messages; shared ones count only for the branch that stores them.
        entries: the number of cached entries that were compared with their rows.
        violations: the number of violations.
        repaired: the number of violations that were repaired.
        faults: the first 1000 violations.
        unanswered: the number of tool calls without a result; these are not violations, since a turn may be running.
        calls: the first 1000 tool calls without a result.
    """

    sessions: int = 0
    messages: int = 0
    entries: int = 0
    violations: int = 0
    repaired: int = 0
    faults: tuple[Violation, ...] = ()
    unanswered: int = 0
    calls: tuple[Notice, ...] = ()


class Measured(msgspec.Struct, frozen=True):
    """A row of a session or branch and aggregates of its own messages, from one statement and so from one moment.

    Attributes:
        floor: the position after which its own visible messages begin.
        count: the number of visible messages: those after ``floor``, up to ``last_seq``.
        positions: the number of different positions among the visible messages.
        beyond: the number of messages after ``last_seq``.
        stored: the number of all messages, those hidden by ``clear()`` included.
        ids: the number of different message ids among all messages.
        strangers: the number of messages whose ``workspace_id`` is not that of the session.
        newest: the largest position of all messages; None where there are none.
        turn: the largest turn number of all messages; None where there are none.
    """

    id: UUID
    workspace_id: int
    workspace__slug: str
    key: str
    branch: str
    parent_id: UUID | None
    floor: int
    base_seq: int
    last_seq: int
    message_count: int
    last_turn: int
    count: int
    positions: int
    beyond: int
    stored: int
    ids: int
    strangers: int
    newest: int | None
    turn: int | None

    def faults(self) -> Iterator[tuple[str, str]]:
        """The violations of the session: the ``what`` and the ``detail`` of each."""
        wanted = max(0, self.last_seq - self.floor)
        if self.base_seq > self.last_seq:
            yield "base_seq", f"is {self.base_seq}, larger than last_seq {self.last_seq}"
        if self.beyond:
            yield "last_seq", f"is {self.last_seq}, but there are messages up to position {self.newest}"
        if self.positions < wanted:
            yield "positions", f"are missing: {wanted - self.positions} of {wanted}"
        if self.positions < self.count or self.ids < self.stored:
            yield "duplicates", f"exist: {self.count - self.positions} positions, {self.stored - self.ids} message ids"
        if self.parent_id is None and self.message_count != self.count:
            yield "message_count", f"is {self.message_count}, not {self.count}"
        if self.turn is not None and self.last_turn != self.turn:
            yield "last_turn", f"is {self.last_turn}, not {self.turn}"
        if self.strangers:
            yield "workspace", f"of {self.strangers} messages is not that of the session"

    def counters(self) -> dict[str, int]:
        """The counters that are wrong, with their right values.

        ``last_seq`` is never decreased: the position of a lost message must not be given to another one.
        """
        counted = {} if self.parent_id is not None else {"message_count": self.count + self.beyond}
        right = {
            "last_seq": max(self.last_seq, self.newest or 0),
            "last_turn": self.last_turn if self.turn is None else self.turn,
            **counted,
        }
        return {name: value for name, value in right.items() if value != getattr(self, name)}


def check(
    workspace: str | None = None,
    *,
    cache: bool = False,
    sample: int = SAMPLE,
    repair: bool = False,
    using: str | None = None,
    on_batch: Callable[[int], None] = lambda _: None,
    on_violation: Callable[[Violation], None] = lambda _: None,
    on_notice: Callable[[Notice], None] = lambda _: None,
) -> Report:
    """Compare every session with its messages and, with ``cache``, cached entries with their rows.

    A repair corrects the counters of each faulty session under its lock, stores abandoned drafts as messages, releases
    lapsed turns and pending branches, removes unused attachments, mends the data of sub-apps, and deletes faulty cached
    entries. No message is removed.

    Args:
        workspace: the slug of the workspace to check; None: all workspaces.
        cache: whether to check cached entries too.
        sample: for how many sessions, the last active ones, the cached entries are checked; 1 to 100,000.
        repair: whether to repair.
        using: the database alias; None: the alias to which the router writes sessions.
        on_batch: called after each batch with the number of sessions checked so far.
        on_violation: called for each violation when it is found.
        on_notice: called for each tool call without a result.

    Raises:
        ValidationError: ``workspace`` is not a valid slug, ``sample`` is out of range, or the cache is off.
        WorkspaceNotFound: there is no such workspace.
        ChatMemoryError: Redis does not answer.
    """
    alias = database(using)
    chosen = {} if workspace is None else {"workspace_id": workspace_id(alias, workspace)}
    adapter, beside = _cached_adapter(using) if cache else None, Beside(wiring.adapter(using))
    if type(sample) is not int or not 1 <= sample <= MAX_SAMPLE:
        raise ValidationError(f"must be a whole number from 1 to {MAX_SAMPLE}, not {shown(sample)}", field="sample")
    tally = _Tally(on_violation, on_notice)
    for rows in _batches(alias, chosen):
        for row in rows:
            tally.sessions += 1
            tally.messages += row.count
            tally.add(_of_rows(alias, row, repair=repair))
        tally.add(_of_beside(beside, rows, repair=repair))
        tally.note(notices(alias, [row.id for row in rows]))
        on_batch(tally.sessions)
    tally.add(_outside(alias, chosen, beside, workspace, repair=repair))
    if adapter is not None:
        tally.compare(adapter, _newest(alias, chosen, sample), repair=repair)
    return tally.report()


class _Tally:
    """The counts and violations so far."""

    def __init__(self, on_violation: Callable[[Violation], None], on_notice: Callable[[Notice], None]) -> None:
        self.sessions = self.messages = self.entries = 0
        self._violations = self._repaired = self._unanswered = 0
        self._kept: list[Violation] = []
        self._calls: list[Notice] = []
        self._on_violation, self._on_notice = on_violation, on_notice

    def add(self, violations: Iterable[Violation]) -> None:
        for violation in violations:
            self._violations += 1
            self._repaired += violation.repaired
            if len(self._kept) < KEPT_VIOLATIONS:
                self._kept.append(violation)
            self._on_violation(violation)

    def compare(self, adapter: CachedAdapter, sessions: Iterable[Address], *, repair: bool) -> None:
        for at in sessions:
            trouble = _trouble(adapter, at, repair=repair)
            self.entries += trouble is not None
            if trouble:
                self.add([Violation(at.workspace, at.key, at.branch, "cache", trouble, repaired=repair)])

    def note(self, calls: Iterable[Notice]) -> None:
        for call in calls:
            self._unanswered += 1
            if len(self._calls) < KEPT_VIOLATIONS:
                self._calls.append(call)
            self._on_notice(call)

    def report(self) -> Report:
        return Report(
            self.sessions,
            self.messages,
            self.entries,
            self._violations,
            self._repaired,
            tuple(self._kept),
            self._unanswered,
            tuple(self._calls),
        )


def _batches(alias: str, chosen: Mapping[str, Any]) -> Iterator[list[Measured]]:
    """All sessions in the order of their primary keys, a batch at a time."""
    sessions = Session.objects.using(alias).filter(**chosen).order_by("pk")
    ids = _ids(sessions)
    while ids:
        yield _measured(alias, ids)
        ids = _ids(sessions.filter(pk__gt=ids[-1]))


def _ids(sessions: QuerySet[Session]) -> list[UUID]:
    # Here, not around the generator above: the permission would also cover its caller's statements between two batches.
    with across_workspaces():
        return list(sessions.values_list("pk", flat=True)[:BATCH_SIZE])


def _measured(alias: str, ids: Sequence[UUID]) -> list[Measured]:
    visible = Q(messages__seq__gt=F("floor"), messages__seq__lte=F("last_seq"))
    rows = Session.objects.using(alias).filter(pk__in=ids).order_by("pk")
    measured = rows.annotate(floor=Greatest("base_seq", Coalesce("fork_seq", 0))).annotate(
        count=Count("messages", filter=visible),
        positions=Count("messages__seq", filter=visible, distinct=True),
        beyond=Count("messages", filter=Q(messages__seq__gt=F("last_seq"))),
        stored=Count("messages"),
        ids=Count("messages__client_id", distinct=True),
        strangers=Count("messages", filter=~Q(messages__workspace_id=F("workspace_id"))),
        newest=Max("messages__seq"),
        turn=Max("messages__turn"),
    )
    with across_workspaces():
        return [Measured(*row) for row in measured.values_list(*Measured.__struct_fields__)]


def _of_rows(alias: str, row: Measured, *, repair: bool) -> list[Violation]:
    """The violations of a session, repaired if ``repair`` is True and a repair is possible."""
    faults = dict(row.faults())
    if not faults:
        return []
    left = _recount(alias, row) if repair else faults
    names = row.workspace__slug, row.key, row.branch
    return [Violation(*names, what, detail, repaired=what not in left) for what, detail in faults.items()]


def _recount(alias: str, measured: Measured) -> Container[str]:
    """Correct the counters of a session under its lock, and return the kinds of violation that remain."""

    def write(*, nested: bool) -> Container[str]:
        rows = Session.objects.using(alias).filter(pk=measured.id, workspace_id=measured.workspace_id)
        rows.update(version=F("version"))  # a write locks the row on every database
        row, again = rows.first(), _measured(alias, [measured.id])
        right = again[0].counters() if again else {}
        if row is not None and right:
            at = Address(measured.workspace__slug, row.key, row.branch)
            header = move(row, **right, updated_at=row.updated_at)
            changed_row(alias, Kind.UPDATED, at, row, header, nested=nested, fields=tuple(right))
        return {what for left in _measured(alias, [measured.id]) for what, _detail in left.faults()}

    with across_workspaces():
        return run_write(alias, write, whole=True)


def _orphans(alias: str, chosen: Mapping[str, Any]) -> Iterator[Violation]:
    """A violation for each missing session that messages refer to, at most KEPT_VIOLATIONS.

    SQLite allows such messages if foreign keys were switched off.
    """
    session = Session.objects.using(alias).filter(pk=OuterRef("session_id"))
    lost = Message.objects.using(alias).filter(~Exists(session), **chosen).order_by()
    with across_workspaces():
        sessions = list(lost.values_list("session_id", "workspace__slug").annotate(Count("pk"))[:KEPT_VIOLATIONS])
    for session_id, slug, count in sessions:
        detail = f"{count} messages of a session that does not exist"
        yield Violation(slug or "", str(session_id), "", "orphans", detail)


def _of_beside(beside: Beside, rows: Sequence[Measured], *, repair: bool) -> Iterator[Violation]:
    """The violations in what sub-apps store for the messages of some sessions."""
    names = {row.id: (row.workspace__slug, row.key, row.branch) for row in rows}
    for found in beside.of_rows(list(names), repair=repair):
        if found.row is not None:
            yield Violation(*names[found.row], found.what, found.detail, repaired=found.repaired)


def _outside(
    alias: str, chosen: Mapping[str, Any], beside: Beside, workspace: str | None, *, repair: bool
) -> Iterator[Violation]:
    """The violations found outside of the loop over sessions: orphans, attachments, unfinished work, strays."""
    yield from _orphans(alias, chosen)
    yield from _attachments(alias, chosen, repair=repair)
    for trouble in unfinished.troubles(alias, chosen, repair=repair):
        yield Violation(*trouble)
    for found in beside.strays(workspace, repair=repair):
        yield Violation(workspace or "", "", "", found.what, found.detail, repaired=found.repaired)


def _cached_adapter(using: str | None) -> CachedAdapter:
    adapter = wiring.adapter(using)
    if not isinstance(adapter, CachedAdapter):
        raise ValidationError("needs a cache, but the cache of CHAT_MEMORY is off", field="cache")
    return adapter


def _attachments(alias: str, chosen: Mapping[str, Any], *, repair: bool) -> list[Violation]:
    """The violations of attachments; a repair removes the files that nothing refers to."""
    found = list(forgotten.troubles(alias, chosen))
    if repair and any(each.repairable for each in found):
        forgotten.remove(alias, chosen)
    return [
        Violation(each.workspace, each.name, "", "attachment", each.detail, repaired=repair and each.repairable)
        for each in found
    ]


def _newest(alias: str, chosen: Mapping[str, Any], sample: int) -> list[Address]:
    """The addresses whose entries are checked: those of the last active sessions, which are most likely cached.

    ``main`` has two: the entry under its own name, and the entry of the current branch.
    """
    rows = Session.objects.using(alias).filter(deleted_at__isnull=True, **chosen).order_by("-listed_at", "-pk")
    with across_workspaces():
        names = list(rows.values_list("workspace__slug", "key", "branch")[:sample])
    return [
        Address(slug, key, each)
        for slug, key, branch in names
        for each in ((CURRENT, branch) if branch == MAIN_BRANCH else (branch,))
    ]


def _trouble(adapter: CachedAdapter, at: Address, *, repair: bool) -> str | None:
    """The result of ``CachedAdapter.audit``; with ``repair`` a faulty entry is deleted.

    Raises:
        ChatMemoryError: Redis does not answer.
    """
    try:
        trouble = adapter.audit(at)
        if trouble and repair:
            adapter.forget(at)
    except Unavailable as error:
        raise ChatMemoryError(f"Redis does not answer: {error}") from error
    return trouble
