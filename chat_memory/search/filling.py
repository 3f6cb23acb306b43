"""Owns filling the index with messages stored before it existed, and the comparison of index and messages."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connections
from django.db.models import Case, CharField, Count, Exists, OuterRef, Q, QuerySet, Value, When

from chat_memory.models import Message, Session, Workspace
from chat_memory.search.models import Entry
from chat_memory.search.purging import purge
from chat_memory.search.statements import insert
from chat_memory.search.wording import OTHERS, language_of, own_languages, parameters
from chat_memory.storage.contract import Indexed
from chat_memory.storage.orm.rows import hold
from chat_memory.storage.orm.transactions import run_write
from chat_memory.storage.tenancy import across_workspaces

Place = tuple[UUID, int]


class _Lacking(NamedTuple):
    """A message that the index lacks, and where it belongs."""

    id: int
    session_id: UUID
    seq: int
    workspace_id: int
    key: str
    slug: str


def missing(alias: str, workspace: str | None) -> int:
    """See ``SearchStore.missing``."""
    with across_workspaces():
        return _lacking(alias, workspace).count()


def index(alias: str, workspace: str | None, after: Place | None, size: int) -> Indexed:
    """See ``SearchStore.index``.

    The conversations are locked while their messages are read, as in every write that changes or removes a message. So
    an entry is never older than its message, and no entry is added after its message was removed.
    """

    def write(*, nested: bool) -> Indexed:  # noqa: ARG001  # the contract of run_write
        rows = [_Lacking(*row) for row in _next(alias, workspace, after, size)]
        held = hold(alias, {(row.workspace_id, row.key, row.session_id) for row in rows}, wait=False)
        taken = [row for row in rows if row.session_id in held]
        for slug in sorted({row.slug for row in taken}):
            _put(alias, slug, [row.id for row in taken if row.slug == slug])
        last = (rows[-1].session_id, rows[-1].seq) if rows else None
        return Indexed(len(taken), len(rows) - len(taken), last)

    with across_workspaces():
        return run_write(alias, write, whole=True)


def faults(alias: str, rows: Collection[UUID], *, repair: bool) -> dict[UUID, str]:
    """See ``SearchStore.faults``."""
    with across_workspaces():
        lacking = _counts(_lacking(alias, None).filter(session_id__in=rows))
        lost = _counts(_lost(alias, rows))
        if repair and lost:
            _remove(alias, rows)
        for row in lacking if repair else ():
            _fill_row(alias, row)
    found: dict[UUID, str] = {}
    for row in lacking.keys() | lost.keys():
        details = [f"lacks {lacking[row]} messages"] if row in lacking else []
        details += [f"has {lost[row]} entries of no message"] if row in lost else []
        found[row] = " and ".join(details)
    return found


def strays(alias: str, workspace: str | None, *, repair: bool) -> int:
    """See ``SearchStore.strays``."""
    gone = ~Exists(Session.objects.using(alias).filter(pk=OuterRef("session_id")))
    entries = _entries(alias).filter(gone)
    if workspace is not None:
        entries = entries.filter(workspace_id__in=Workspace.objects.using(alias).filter(slug=workspace).values("pk"))

    def write(*, nested: bool) -> int:  # noqa: ARG001  # the contract of run_write
        number = entries._raw_delete(alias)
        purge(alias)
        return int(number)

    with across_workspaces():
        return run_write(alias, write, whole=True) if repair else entries.count()


def _entries(alias: str) -> QuerySet[Entry]:
    return Entry._default_manager.using(alias)


def _lacking(alias: str, workspace: str | None) -> QuerySet[Message]:
    """The messages without an entry in the language of their workspace."""
    messages = Message.objects.using(alias)
    if workspace is not None:
        messages = messages.filter(workspace__slug=workspace)
    own = own_languages()
    cases = [When(workspace__slug=slug, then=Value(language)) for slug, language in own.items()]
    language: Any = Case(*cases, default=Value(language_of(OTHERS)), output_field=CharField())
    same = _entries(alias).filter(message_id=OuterRef("pk"), language=OuterRef("due"))
    return messages.annotate(due=language).filter(~Exists(same)).order_by()


def _next(alias: str, workspace: str | None, after: Place | None, size: int) -> list[tuple[Any, ...]]:
    """The first of the messages that the index lacks, by session and position, which a database index serves."""
    rows = _lacking(alias, workspace)
    if after is not None:
        behind = Q(session_id=after[0], seq__gt=after[1]) | Q(session_id__gt=after[0])
        rows = rows.filter(behind, session_id__gte=after[0])  # the latter lets the database start inside the index
    columns = ("pk", "session_id", "seq", "workspace_id", "session__key", "workspace__slug")
    return list(rows.order_by("session_id", "seq").values_list(*columns)[:size])


def _put(alias: str, slug: str, ids: Sequence[int]) -> None:
    """Put messages of one workspace into the index, as they are now."""
    connection = connections[alias]
    marks = ", ".join(str(int(each)) for each in ids)
    source = f"{Message._meta.db_table} m WHERE m.id IN ({marks})"
    with connection.cursor() as cursor:
        cursor.execute(insert.__wrapped__(connection.vendor, source), parameters(slug))  # past the cache: used once


def _fill_row(alias: str, row: UUID) -> None:
    """Index the missing messages of one session row, unless another transaction locks its conversation."""
    place: Place | None = (row, -1)
    while place is not None and place[0] == row:
        place = index(alias, None, place, 500).last


def _lost(alias: str, rows: Collection[UUID]) -> QuerySet[Entry]:
    """The entries of session rows whose message does not exist, or is at another place."""
    same = Message.objects.using(alias).filter(
        pk=OuterRef("message_id"), session_id=OuterRef("session_id"), seq=OuterRef("seq")
    )
    return _entries(alias).filter(~Exists(same), session_id__in=rows).order_by()


def _remove(alias: str, rows: Collection[UUID]) -> None:
    def write(*, nested: bool) -> None:  # noqa: ARG001  # the contract of run_write
        _lost(alias, rows)._raw_delete(alias)
        purge(alias)

    run_write(alias, write, whole=True)


def _counts(rows: QuerySet[Any]) -> dict[UUID, int]:
    return dict(rows.values_list("session_id").annotate(number=Count("pk")))
