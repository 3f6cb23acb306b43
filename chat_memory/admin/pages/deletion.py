"""Owns the confirmation before a deletion; its numbers come from counters, as Django would load every message."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from django.contrib.admin import AdminSite
from django.db.models import Case, Count, F, Model, Q, Sum, When
from django.utils.html import format_html
from django.utils.text import capfirst
from django.utils.translation import gettext

from chat_memory.admin.rows import rows
from chat_memory.admin.session_texts import address_of, sized
from chat_memory.models import Message, Session, Workspace, WorkspaceMember

LISTED = 100
"""At most this many of the rows to delete are listed by name."""

Question = tuple[list[str], dict[str, int], set[str], list[str]]
"""What ``ModelAdmin.get_deleted_objects`` returns: lines, numbers by kind, missing permissions, protected rows."""


def of_sessions(sessions: Sequence[Session], site: AdminSite, may_delete: Callable[[Session], bool]) -> Question:
    """The confirmation for deleting sessions with their branches and messages."""
    sizes = sizes_of(sessions)
    name = capfirst(Session._meta.verbose_name)
    lines: list[str] = [
        format_html('{}: <a href="{}">{}</a>, {}', name, address_of(site, "change", session), session, sized(size))
        for session, size in zip(sessions[:LISTED], sizes, strict=False)
    ]
    if len(sessions) > LISTED:
        lines.append(gettext("and {number} more").format(number=len(sessions) - LISTED))
    counts = {_plural(Session): len(sessions), _plural(Message): sum(sizes)}
    return lines, counts, _lacking(Session, map(may_delete, sessions)), []


def of_workspaces(
    workspaces: Sequence[Workspace], may_delete: Callable[[Workspace], bool], *, may_delete_sessions: bool
) -> Question:
    """The confirmation for deleting workspaces with all their contents."""
    name = capfirst(Workspace._meta.verbose_name)
    inside = Q(workspace__in=[workspace.pk for workspace in workspaces])
    own = Case(When(parent=None, then=F("message_count")), default=F("last_seq") - F("fork_seq"))
    sums = (
        rows(Session)
        .filter(inside)
        .aggregate(sessions=Count("pk", filter=Q(parent=None)), messages=Sum(own, default=0))
    )
    counts = {
        _plural(Workspace): len(workspaces),
        _plural(WorkspaceMember): rows(WorkspaceMember).filter(inside).count(),
        _plural(Session): sums["sessions"],
        _plural(Message): sums["messages"],
    }
    lines: list[str] = [format_html("{}: {}", name, workspace) for workspace in workspaces]
    lacking = _lacking(Workspace, map(may_delete, workspaces)) | _lacking(
        Session, [may_delete_sessions or not sums["sessions"]]
    )
    return lines, counts, lacking, []


def sizes_of(sessions: Sequence[Session]) -> list[int]:
    """The number of messages of each conversation, all branches included, from counters: one query."""
    same = {"workspace_id__in": {each.workspace_id for each in sessions}, "key__in": {each.key for each in sessions}}
    branches = rows(Session).filter(**same, parent__isnull=False).order_by().values_list("workspace_id", "key")
    own = branches.annotate(own=Sum(F("last_seq") - F("fork_seq")))
    added = {(workspace_id, key): number for workspace_id, key, number in own}
    return [each.message_count + added.get((each.workspace_id, each.key), 0) for each in sessions]


def _lacking(model: type[Model], allowed: Iterable[bool]) -> set[str]:
    """The name of the model if the user may not delete one of its rows, as a set."""
    return set() if all(allowed) else {str(model._meta.verbose_name)}


def _plural(model: type[Model]) -> str:
    return str(model._meta.verbose_name_plural)
