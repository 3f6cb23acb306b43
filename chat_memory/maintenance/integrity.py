"""Owns the comparison of what is stored with what must hold, and the repair of counters; messages stay as they are."""

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
KEPT_VIOLATIONS = 1000


class Violation(msgspec.Struct, frozen=True):
    """Something that must not be.

    Attributes:
        workspace: the slug; "" where the workspace is gone.
        key: of the session; its id where the session is gone.
        branch: of the session.
        what: base_seq, last_seq, positions, duplicates, message_count, last_turn, workspace, orphans or cache.
        detail: what is wrong with it, in words.
        repaired: whether it has been put right.
    """

    workspace: str
    key: str
    branch: str
    what: str
    detail: str
    repaired: bool = False


class Report(msgspec.Struct, frozen=True):
    """What a check found.

    Attributes:
        sessions: how many were looked at, branches included.
        messages: how many they have.
        entries: cached entries that were compared with the rows.
        violations: how many there were.
        repaired: how many of those have been put right.
        faults: the first thousand.
    """

    sessions: int = 0
    messages: int = 0
    entries: int = 0
    violations: int = 0
    repaired: int = 0
    faults: tuple[Violation, ...] = ()


class Measured(msgspec.Struct, frozen=True):
    """A session row beside its messages, from one statement, so that no writer comes between.

    ``count`` and ``positions`` are of the messages readers see, those after ``floor``; the other numbers are of all
    messages, also of those that ``clear()`` hides.
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
        """What must not be, with what is wrong about it."""
        wanted = max(0, self.last_seq - self.floor)
        if self.base_seq > self.last_seq:
            yield "base_seq", f"is {self.base_seq}, beyond last_seq {self.last_seq}"
        if self.beyond:
            yield "last_seq", f"is {self.last_seq}, and messages go on to {self.newest}"
        if self.positions < wanted:
            yield "positions", f"are missing, {wanted - self.positions} of {wanted}"
        if self.positions < self.count or self.ids < self.stored:
            yield "duplicates", "of a position or a message id"
        if self.parent_id is None and self.message_count != self.count:
            yield "message_count", f"is {self.message_count}, not {self.count}"
        if self.turn is not None and self.last_turn != self.turn:
            yield "last_turn", f"is {self.last_turn}, not {self.turn}"
        if self.strangers:
            yield "workspace", f"of {self.strangers} messages is not the session's"

    def counters(self) -> dict[str, int]:
        """What the row should say; ``last_seq`` never goes back, since what was lost is not to be numbered again."""
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
) -> Report:
    """Compare every session with its messages and, where asked, cached sessions with their rows.

    A repair recounts sessions, each under its lock, and drops cached entries; messages are neither made nor removed.

    Args:
        workspace: this one only.
        cache: look into Redis too.
        sample: how many cached sessions, those last active, from 1 to 100,000.
        repair: whether to mend what can be mended.
        using: the database alias; None: where the router writes sessions.
        on_batch: called after each batch with the number of sessions looked at so far.
        on_violation: called for each violation as it is found.

    Raises:
        ValidationError: ``sample`` is out of range, or there is no cache to look into.
        WorkspaceNotFound: there is no such workspace.
        ChatMemoryError: Redis does not answer.
    """
    alias = database(using)
    chosen = {} if workspace is None else {"workspace_id": workspace_id(alias, workspace)}
    adapter = _cached_adapter(using) if cache else None
    if type(sample) is not int or not 1 <= sample <= MAX_SAMPLE:
        raise ValidationError(f"must be a whole number from 1 to {MAX_SAMPLE}, not {shown(sample)}", field="sample")
    tally = _Tally(on_violation)
    for rows in _batches(alias, chosen):
        for row in rows:
            tally.sessions += 1
            tally.messages += row.count
            tally.add(_of_rows(alias, row, repair=repair))
        on_batch(tally.sessions)
    tally.add(_orphans(alias, chosen))
    if adapter is not None:
        for at in _newest(alias, chosen, sample):
            trouble = _trouble(adapter, at, repair=repair)
            tally.entries += trouble is not None
            if trouble:
                tally.add([Violation(at.workspace, at.key, at.branch, "cache", trouble, repaired=repair)])
    return tally.report()


class _Tally:
    """The report as it grows."""

    def __init__(self, on_violation: Callable[[Violation], None]) -> None:
        self.sessions = self.messages = self.entries = 0
        self._violations = self._repaired = 0
        self._kept: list[Violation] = []
        self._on_violation = on_violation

    def add(self, violations: Iterable[Violation]) -> None:
        for violation in violations:
            self._violations += 1
            self._repaired += violation.repaired
            if len(self._kept) < KEPT_VIOLATIONS:
                self._kept.append(violation)
            self._on_violation(violation)

    def report(self) -> Report:
        return Report(self.sessions, self.messages, self.entries, self._violations, self._repaired, tuple(self._kept))


def _batches(alias: str, chosen: Mapping[str, Any]) -> Iterator[list[Measured]]:
    """All sessions along the primary key; of each no more than its numbers is held."""
    sessions = Session.objects.using(alias).filter(**chosen).order_by("pk")
    ids = _ids(sessions)
    while ids:
        yield _measured(alias, ids)
        ids = _ids(sessions.filter(pk__gt=ids[-1]))


def _ids(sessions: QuerySet[Session]) -> list[UUID]:
    # Not around the generator above: what its caller asks the database between two batches is no business of ours.
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
    """What is wrong with a session, each with whether a repair has mended it."""
    faults = dict(row.faults())
    if not faults:
        return []
    left = _recount(alias, row) if repair else faults
    names = row.workspace__slug, row.key, row.branch
    return [Violation(*names, what, detail, repaired=what not in left) for what, detail in faults.items()]


def _recount(alias: str, measured: Measured) -> Container[str]:
    """Set the counters right under the session's lock; what is still wrong then."""

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
    """Messages whose session is gone, which SQLite allows where foreign keys were off; a thousand sessions at most."""
    session = Session.objects.using(alias).filter(pk=OuterRef("session_id"))
    lost = Message.objects.using(alias).filter(~Exists(session), **chosen).order_by()
    with across_workspaces():
        sessions = list(lost.values_list("session_id", "workspace__slug").annotate(Count("pk"))[:KEPT_VIOLATIONS])
    for session_id, slug, count in sessions:
        yield Violation(slug or "", str(session_id), "", "orphans", f"{count} messages of a session that is gone")


def _cached_adapter(using: str | None) -> CachedAdapter:
    adapter = wiring.adapter(using)
    if not isinstance(adapter, CachedAdapter):
        raise ValidationError("needs a cache, and CHAT_MEMORY's CACHE is off", field="cache")
    return adapter


def _newest(alias: str, chosen: Mapping[str, Any], sample: int) -> list[Address]:
    """The sessions last active, which a cache most likely holds: ``main`` by its name, and as the current branch."""
    rows = Session.objects.using(alias).filter(deleted_at__isnull=True, **chosen).order_by("-listed_at", "-pk")
    with across_workspaces():
        names = list(rows.values_list("workspace__slug", "key", "branch")[:sample])
    return [
        Address(slug, key, each)
        for slug, key, branch in names
        for each in ((CURRENT, branch) if branch == MAIN_BRANCH else (branch,))
    ]


def _trouble(adapter: CachedAdapter, at: Address, *, repair: bool) -> str | None:
    """As ``CachedAdapter.audit``; with ``repair`` what is wrong is dropped.

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
