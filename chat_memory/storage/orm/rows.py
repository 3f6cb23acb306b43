"""Owns finding, locking and moving a conversation's rows, root and branches; it must not touch messages."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connections
from django.db.models import F, Q, QuerySet

from chat_memory.choices import CURRENT, MAIN_BRANCH
from chat_memory.conf import settings
from chat_memory.exceptions import TooManyBranches, VersionConflict, WorkspaceNotFound
from chat_memory.models import Session, Workspace
from chat_memory.records import Address, Header, uuid7
from chat_memory.storage.orm.cursor import fetch
from chat_memory.storage.orm.owning import is_reached
from chat_memory.storage.orm.statements.home import home
from chat_memory.storage.orm.waiting import bound_transaction, bounds, milliseconds

TOKEN_BITS = 62


class Rows(NamedTuple):
    """The row an address means and the root of its conversation, often the same."""

    root: Session
    row: Session

    @property
    def header(self) -> Header:
        """The state of the row."""
        return header_of(self.row)

    @property
    def current_id(self) -> Any:
        """The id of the conversation's current branch, which need not be the row that is meant."""
        return self.root.head_id or self.root.pk


def find(alias: str, at: Address) -> Rows | None:
    """The rows an address means; None where there are none.

    Raises:
        NotOwner: the conversation belongs to somebody else than the address' user.
    """
    root = roots(alias, at).first()
    row = _meant(at, root) if root and is_reached(at, root) else None
    return Rows(root, row) if root and row else None


def lock(alias: str, at: Address) -> Rows | None:
    """As ``find``, locked until the transaction ends; the root is locked first, so that changes wait for each other.

    Raises:
        NotOwner: as ``find``.
    """
    rows = roots(alias, at)
    if connections[alias].features.has_select_for_update:
        root = rows.filter(bounds()).select_for_update(no_key=True, of=("self",)).first()
    else:
        # SQLite has one writer: a write as first statement takes its lock at once; a read lock could not be upgraded.
        root = rows.first() if rows.update(version=F("version")) else None
    held = connections[alias].features.has_select_for_update
    row = _meant(at, root, held=held) if root and is_reached(at, root) else None
    return Rows(root, row) if root and row else None


def hold(alias: str, places: set[tuple[int, str, UUID]], *, wait: bool) -> set[UUID]:
    """Lock rows of conversations, their roots first, until the transaction ends; return the ids of the locked rows.

    A lock on the root is not enough, because the removal of cleared messages locks only the row that has them.

    Args:
        alias: the database.
        places: the rows, each with the id of its workspace, its key and its id.
        wait: whether to wait for rows that others have locked; otherwise these are skipped.
    """
    by_workspace: dict[int, set[tuple[str, UUID]]] = {}
    for workspace_id, key, row_id in places:
        by_workspace.setdefault(workspace_id, set()).add((key, row_id))
    found: set[UUID] = set()
    for workspace_id, rows in sorted(by_workspace.items()):
        own = Session.objects.using(alias).filter(workspace_id=workspace_id)
        heads = own.filter(key__in={key for key, _row in rows}, branch=MAIN_BRANCH)
        roots_held = {key: row_id for row_id, key in _held(alias, heads, wait=wait)}
        wanted = {row_id for key, row_id in rows if key in roots_held}
        branches = wanted - set(roots_held.values())
        found |= wanted - branches
        if branches:
            below = own.filter(key__in=roots_held, pk__in=branches)
            found.update(row_id for row_id, _key in _held(alias, below, wait=wait))
    return found


def _held(alias: str, rows: QuerySet[Session], *, wait: bool) -> list[tuple[UUID, str]]:
    """Lock the rows; return the ids and keys of those that were locked."""
    if connections[alias].features.has_select_for_update:
        rows = rows.order_by("pk").select_for_update(skip_locked=not wait, no_key=True)
    else:
        rows.update(version=F("version"))  # SQLite has one writer: a write takes its lock
    return list(rows.values_list("pk", "key"))


def roots(alias: str, at: Address) -> QuerySet[Session]:
    """The root of an address' conversation, at most one."""
    rows = Session.objects.using(alias).filter(
        workspace__slug=at.workspace, key=at.key, branch=MAIN_BRANCH, deleted_at__isnull=True
    )
    if at.pinned and at.means_whole:
        rows = rows.filter(Q(pk=at.session_id) if at.session_id else Q(), Q(workspace_id=at.workspace_id))
    return rows.select_related("workspace").order_by()


def family(root: Session) -> QuerySet[Session]:
    """All rows of a conversation, in no order."""
    rows = Session.objects.using(root._state.db).filter(workspace_id=root.workspace_id, key=root.key)
    return rows.filter(deleted_at__isnull=True).order_by()


def _meant(at: Address, root: Session, *, held: bool = False) -> Session | None:
    """The row of a conversation that an address means."""
    if at.branch == MAIN_BRANCH or (at.branch == CURRENT and root.head_id is None):
        return root
    rows = family(root).filter(**({"pk": root.head_id} if at.branch == CURRENT else {"branch": at.branch}))
    if at.pinned and at.branch != CURRENT:
        rows = rows.filter(Q(pk=at.session_id))
    found = (rows.select_for_update(no_key=True) if held else rows).first()
    return root if found is None and at.branch == CURRENT else found


def header_of(row: Session) -> Header:
    """The state of a row."""
    return Header(row.pk, row.workspace_id, row.version, row.vtoken, row.base_seq, row.last_seq)


def check_version(row: Session, if_version: int | None) -> None:
    """Check that a locked row is at the version that the caller requires; None: any version.

    Raises:
        VersionConflict: the row is at another version.
    """
    if if_version is not None and if_version != row.version:
        raise VersionConflict(if_version, row.version)


def move(row: Session, **fields: Any) -> Header:
    """Set fields of a locked row and move its version, in the database and in the object; return its new state."""
    now = datetime.now(UTC)
    moved = {"version": row.version + 1, "prev_vtoken": row.vtoken, "vtoken": new_token(), "updated_at": now, **fields}
    moved |= _changed(row, now)
    for name, value in moved.items():
        setattr(row, name, value)
    Session.objects.using(row._state.db).filter(pk=row.pk, workspace_id=row.workspace_id).update(**moved)
    return header_of(row)


def touch(rows: Rows, **fields: Any) -> None:
    """Note on the root that one of its branches changed, since lists and retention look at roots.

    The version of the root stays, because its own history has not changed.
    """
    if rows.row.pk != rows.root.pk:
        given = {"updated_at": rows.row.updated_at, **_changed(rows.root, rows.row.updated_at), **fields}
        Session.objects.using(rows.root._state.db).filter(pk=rows.root.pk, workspace_id=rows.root.workspace_id).update(
            **given
        )


def activity(row: Session, active_at: datetime) -> dict[str, datetime]:
    """The fields that say when a row was last active; the indexed copy is set only if it lags by ACTIVITY_GRAIN.

    On SQLite it never lags, because leaving it out would make no update cheaper there.
    """
    may_lag = connections[row._state.db or "default"].vendor == "postgresql"
    lagging = not (may_lag and active_at - grain() < row.listed_at <= active_at)
    return {"active_at": active_at} | ({"listed_at": active_at} if lagging else {})


def _changed(row: Session, now: datetime) -> dict[str, datetime]:
    """The indexed time of the last change, where it lags by ACTIVITY_GRAIN; on SQLite it never lags."""
    known = row.changed_at
    may_lag = connections[row._state.db or "default"].vendor == "postgresql" and isinstance(known, datetime)
    return {} if may_lag and known > now - grain() else {"changed_at": now}


def grain() -> timedelta:
    """How far the indexed copy of the last activity may lag."""
    return timedelta(seconds=settings.activity_grain)


def make_current(root: Session, before: Session, after: Session) -> Header:
    """Make a locked branch the current one in place of another; return its new state.

    Its version becomes higher than those of the root and of the former branch, so that readers never see it decrease.
    """
    version = max(root.version, before.version, after.version) + 1
    if after is root:
        return move(root, head_id=None, version=version)
    move(root, head_id=after.pk)
    return move(after, version=version, pending="")


def new_token() -> int:
    """A random version token: unlike a number alone, it tells two histories of equal length apart."""
    return secrets.randbits(TOKEN_BITS)


def branch_row(
    root: Session,
    name: str,
    parent_id: Any,
    *,
    seq: int,
    base: int,
    turn: int,
    times: Mapping[str, datetime],
    pending: str = "",
) -> Session:
    """The row of a new branch, not saved, that shares the positions up to ``seq`` and shows those after ``base``.

    It takes the next number of the locked or new root, whose row has to be saved too (``note_number``).
    """
    root.branch_number += 1
    return Session(
        id=uuid7(),
        workspace_id=root.workspace_id,
        key=root.key,
        branch=name,
        branch_number=root.branch_number,
        parent_id=parent_id,
        fork_seq=seq,
        base_seq=base,
        last_seq=max(seq, base),
        message_count=max(0, seq - base),
        last_turn=turn,
        version=1,
        vtoken=new_token(),
        pending=pending,
        **times,
    )


def note_number(root: Session) -> None:
    """Save the number that the newest branch of a locked root took."""
    rows = Session.objects.using(root._state.db).filter(pk=root.pk, workspace_id=root.workspace_id)
    rows.update(branch_number=root.branch_number)


def check_room(key: str, root: Session | None) -> None:
    """Check that a locked conversation, or a new one (None), may have one more branch; count only if many were made.

    Raises:
        TooManyBranches: it has as many as MAX_BRANCHES allows.
    """
    limit = settings.max_branches
    made = 1 if root is None else root.branch_number + 1
    if made >= limit and (root is None or family(root).count() >= limit):
        raise TooManyBranches(key, limit)


def workspace_id(alias: str, slug: str) -> int:
    """The workspace's id; the workspace is created on first use if CREATE_WORKSPACES allows it.

    On PostgreSQL nobody removes or renames the workspace until the transaction ends: what is added to it has a home.

    Raises:
        WorkspaceNotFound: it is unknown and CREATE_WORKSPACES is False.
    """
    while (found := known_workspace(alias, slug)) is None:
        if not settings.create_workspaces:
            raise WorkspaceNotFound(slug, may_be_made=False)
        bound_transaction(alias)  # no row was found above, so its bound was not set
        Workspace.objects.using(alias).bulk_create([Workspace(slug=slug)], ignore_conflicts=True)
    return found


def known_workspace(alias: str, slug: str) -> int | None:
    """The id of a workspace, held as ``workspace_id`` says; None where there is none."""
    connection = connections[alias]
    found = fetch(connection, home(connection.vendor, milliseconds()), {"workspace": slug})
    return found[0][0] if found else None
