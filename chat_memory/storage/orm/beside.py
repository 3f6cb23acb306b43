"""Owns the rows that sub-apps keep beside messages, written in the same statement or transaction as the messages.

A sub-app that stores a row for every message registers its INSERT in the ``ready()`` of its app. For deletions it
registers its table with ``removal.dependent``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connections

from chat_memory.models import Message

COLUMNS = ("id", "workspace_id", "session_id", "seq", "role", "state", "content", "parts")
"""The columns of a message that such an INSERT may read."""
_STORED = Message._meta.db_table


class Beside(NamedTuple):
    """What a sub-app writes beside messages.

    Attributes:
        insert: returns the statement for a database vendor and a source of messages with the alias ``m``: an INSERT ...
            SELECT ... FROM that replaces the row of a message that has one already. Its own parameters are
            ``%(name)s``, with names that no other statement uses.
        values: returns the values of these parameters for the slug of a workspace.
        changed: called with the database alias in a transaction that changed messages, after the new rows were written;
            not called for an append.
    """

    insert: Callable[[str, str], str]
    values: Callable[[str], Mapping[str, Any]]
    changed: Callable[[str], None] | None = None


_registered: list[Beside] = []


def beside(written: Beside) -> None:
    """Register what is written beside messages; called once, by ``AppConfig.ready()``."""
    if written not in _registered:
        _registered.append(written)


def registered() -> tuple[Beside, ...]:
    """Everything that was registered."""
    return tuple(_registered)


def returning(written: tuple[Beside, ...]) -> str:
    """The RETURNING clause of the CTE ``stored`` of an append; "" where nothing is written beside messages."""
    return f" RETURNING {', '.join(COLUMNS)}" if written else ""


def expressions(written: tuple[Beside, ...]) -> str:
    """The further CTEs of an append on PostgreSQL, which read the CTE ``stored``."""
    return "".join(
        f", beside_{number} AS ({each.insert('postgresql', 'stored m')})" for number, each in enumerate(written)
    )


def values(workspace: str) -> dict[str, Any]:
    """The parameters of ``expressions`` for a workspace's slug."""
    return {name: value for each in _registered for name, value in each.values(workspace).items()}


def write(alias: str, workspace: str, row: tuple[int, UUID], span: tuple[int, int]) -> None:
    """Write the rows beside messages that were just stored.

    Args:
        alias: the database.
        workspace: the slug of the workspace.
        row: the ids of the workspace and of the session row.
        span: the first and the last of their positions.
    """
    where = "m.session_id = %(row)s AND m.seq BETWEEN %(first)s AND %(last)s"
    params = {"row": _ident(alias, row[1]), "first": span[0], "last": span[1]}
    _run(alias, workspace, row[0], where, params)


def rewrite(alias: str, workspace: str, rows: Collection[Message]) -> None:
    """Write the rows beside messages that were just changed."""
    for row in rows:
        write(alias, workspace, (row.workspace_id, row.session_id), (row.seq, row.seq))
    for each in _registered:
        if each.changed is not None:
            each.changed(alias)


def write_all(alias: str, workspace: str, workspace_id: int, rows: Collection[UUID]) -> None:
    """Write the rows beside all messages of some session rows."""
    if connections[alias].vendor == "postgresql":
        where, values = "m.session_id = ANY(%(rows)s::uuid[])", [str(row) for row in rows]
        _run(alias, workspace, workspace_id, where, {"rows": values})
        return
    for row in rows:  # SQLite has no round trips to a server
        _run(alias, workspace, workspace_id, "m.session_id = %(row)s", {"row": _ident(alias, row)})


def _run(alias: str, workspace: str, workspace_id: int, where: str, params: Mapping[str, Any]) -> None:
    connection = connections[alias]
    source = f"{_STORED} m WHERE m.workspace_id = %(of_workspace)s AND {where}"
    for each in _registered:
        with connection.cursor() as cursor:
            given = {"of_workspace": workspace_id, **params, **each.values(workspace)}
            cursor.execute(each.insert(connection.vendor, source), given)


def _ident(alias: str, row: UUID) -> Any:
    return row if connections[alias].features.has_native_uuid_field else row.hex
