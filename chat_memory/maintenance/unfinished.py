"""Owns the search for what was begun and never ended: drafts, leases of turns, and pending branches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from django.db import connections
from django.db.models import BigIntegerField, Exists, F, Model, OuterRef, Q, QuerySet
from django.db.models.expressions import RawSQL

from chat_memory.choices import AT_ONCE, Pending, TurnState
from chat_memory.conf import settings
from chat_memory.maintenance import abandoned
from chat_memory.models import Session, Turn
from chat_memory.storage.orm.statements import drafts as statements
from chat_memory.storage.tenancy import across_workspaces

_PLACE = ("session__workspace__slug", "session__key", "session__branch")
_BRANCH = ("workspace__slug", "key", "branch")


class Trouble(NamedTuple):
    """Something that nobody will end: its branch, its kind and its description."""

    workspace: str
    key: str
    branch: str
    what: str
    detail: str
    repaired: bool = False


def troubles(alias: str, chosen: Mapping[str, Any], *, repair: bool) -> Iterator[Trouble]:
    """The faults that a check finds.

    A repair stores drafts as messages, releases leases, and stops pending branches from becoming current by themselves.

    Args:
        alias: the database.
        chosen: the condition for rows of one workspace, or of all.
        repair: whether to repair.
    """
    for draft in abandoned.troubles(alias, chosen, repair=repair):
        yield Trouble(*draft[:3], "draft", draft.detail, repaired=repair)
    yield from _rights(alias, chosen, repair=repair)
    yield from _branches(alias, chosen, repair=repair)


def _rights(alias: str, chosen: Mapping[str, Any], *, repair: bool) -> Iterator[Trouble]:
    """Turns whose lease lapsed long ago, and turns whose question does not exist."""
    text = statements.now(connections[alias].vendor)
    now = RawSQL(text, (), output_field=BigIntegerField())  # noqa: S611  # no outside value in it
    rows = Turn.objects.using(alias).filter(session__deleted_at=None, **chosen).annotate(since=now - F("lease_until"))
    lost = Q(seq__gt=F("session__last_seq"))
    lapsed = Q(state=TurnState.OPEN, since__gt=settings.draft_lapse_seconds * 1000)
    found = _listed(rows.filter(lost), "turn")
    yield from _told(found, "turn", "{} is of a question that does not exist", repaired=repair)
    if repair and found:
        _run(rows.filter(lost), lambda each: each.delete())
    found = _listed(rows.filter(lapsed & ~lost), "turn")
    yield from _told(found, "turn", "{} is held by nobody any more, and was not given up", repaired=repair)
    if repair and found:
        _run(rows.filter(lapsed & ~lost), lambda each: each.update(state=TurnState.FREE, holder="", lease_until=0))


def _branches(alias: str, chosen: Mapping[str, Any], *, repair: bool) -> Iterator[Trouble]:
    """Pending branches that wait in vain: they have their message, are current, or their writer never stored it."""
    rows = Session.objects.using(alias).filter(deleted_at=None, **chosen).exclude(pending="")
    filled = Q(pending__in=AT_ONCE, last_seq__gt=F("fork_seq")) & Q(last_seq__gt=F("base_seq"))
    current = Session.objects.using(alias).filter(workspace_id=OuterRef("workspace_id"), head_id=OuterRef("pk"))
    void = Q(filled) | Q(parent=None) | Q(Exists(current))
    found = _listed(rows.filter(void), "pending", _BRANCH)
    yield from _told(found, "pending", "is {}, and there is nothing to wait for", repaired=repair)
    if repair and found:
        _run(rows.filter(void), lambda each: each.update(pending=""))
    before = datetime.now(UTC) - timedelta(seconds=settings.draft_lapse_seconds)
    left = ~void & Q(pending=Pending.EDITED, created_at__lt=before)
    found = _listed(rows.filter(left), "pending", _BRANCH)
    yield from _told(found, "pending", "is {}, and its message was not stored", repaired=repair)
    if repair and found:
        _run(rows.filter(left), lambda each: each.update(pending=""))


def _listed(rows: QuerySet[Any], column: str, place: tuple[str, ...] = _PLACE) -> list[tuple[Any, ...]]:
    with across_workspaces():
        return list(rows.order_by("pk").values_list(*place, column))


def _told(found: list[tuple[Any, ...]], what: str, detail: str, *, repaired: bool) -> Iterator[Trouble]:
    for workspace, key, branch, of in found:
        yield Trouble(workspace, key, branch, what, detail.format(of), repaired)


def _run(rows: QuerySet[Model], write: Callable[[Any], object]) -> None:
    with across_workspaces():
        write(rows)
