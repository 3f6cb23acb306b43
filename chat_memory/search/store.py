"""Owns the adapter's part that finds messages in the index; ``filling`` fills the index."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import QuerySet
from django.db.models.expressions import RawSQL

from chat_memory.models import Session, Workspace
from chat_memory.records import Address, Found, Hit, Query
from chat_memory.search import filling, statements
from chat_memory.search.excerpts import Part, beginnings, excerpt
from chat_memory.search.wording import DEFAULT, for_postgresql, for_sqlite, language_of, languages
from chat_memory.storage.contract import Indexed, Within
from chat_memory.storage.orm.cursor import as_uuid, fetch, uuid_value
from chat_memory.storage.orm.limited import limited_time
from chat_memory.storage.orm.listing import conditions, moment_of, with_workspace
from chat_memory.storage.orm.rows import find
from chat_memory.storage.orm.sub_apps import OrmSearchStore

FIRST_LOOK, WIDER, EVERYTHING = 2 * statements.RANKED, 16, 2**62
"""How many of the newest matching entries are looked at first, by which factor further looks grow, and "all"."""


class _Asked(NamedTuple):
    """A search of one workspace, in the syntax of its database.

    Attributes:
        workspace_id: the workspace.
        language: its text search configuration.
        params: ``scoped``, the search within the workspace; on PostgreSQL also ``query``, the search alone.
    """

    workspace_id: int
    language: str
    params: dict[str, Any]


class OrmSearch(OrmSearchStore):
    """Full text in Django's models."""

    def find(
        self, workspace: str, query: Query, within: Within, *, skip: int = 0, size: int = 20
    ) -> tuple[list[Found], bool]:
        """See ``SearchStore.find``: a few statements, however many conversations there are.

        On PostgreSQL they are in a transaction, in which one more statement sets a timeout.
        """
        with limited_time(self._alias):
            return self._found(workspace, query, within, skip, size)

    def _found(self, workspace: str, query: Query, within: Within, skip: int, size: int) -> tuple[list[Found], bool]:
        alias, connection = self._alias, connections[self._alias]
        asked = _asked(alias, workspace, query)
        if asked is None or within.sessions.workspace_id not in (None, asked.workspace_id):
            return [], False
        sessions = msgspec.structs.replace(within.sessions, since=None, until=None, workspace_id=None)
        given = conditions(connection, sessions)
        times = {"since": within.since, "until": within.until}
        is_timed = {name: moment is not None for name, moment in times.items()}
        statement = statements.find(connection.vendor, tuple(given), **is_timed)
        at = {name: connection.ops.adapt_datetimefield_value(moment) for name, moment in times.items() if moment}
        page = asked.params | at | {"workspace_id": asked.workspace_id, "skip": skip, "size": size + 1}
        # With conditions, only few of the matching messages may meet them; without any, most are shown.
        is_narrow = bool(given or at)
        rows = _rows(connection, statement, with_workspace(connection, given, workspace) | page, is_narrow=is_narrow)
        hits = _hits(alias, query, asked, [row[-1] for row in rows[:size]])
        # A message that was removed after the first statement is missing in the second.
        found = [_found(connection, workspace, row, hits[row[-1]]) for row in rows[:size] if row[-1] in hits]
        return found, len(rows) > size

    def find_in(self, at: Address, query: Query, *, size: int = 20) -> list[Hit]:
        """See ``SearchStore.find_in``."""
        with limited_time(self._alias):
            return self._found_in(at, query, size)

    def _found_in(self, at: Address, query: Query, size: int) -> list[Hit]:
        alias, connection = self._alias, connections[self._alias]
        rows = find(alias, at)
        asked = rows and _asked(alias, at.workspace, query)
        if rows is None or asked is None:
            return []
        row = {"session_id": uuid_value(connection, rows.row.pk), "workspace_id": asked.workspace_id, "size": size}
        ids = [message for (message,) in fetch(connection, statements.find_in(connection.vendor), asked.params | row)]
        hits = _hits(alias, query, asked, ids)
        return [hits[message] for message in ids if message in hits]

    def narrowed(self, messages: QuerySet[Any], query: Query) -> QuerySet[Any]:
        """See ``OrmSearchStore.narrowed``."""
        connection = connections[messages.db]
        if connection.vendor != "postgresql":
            said = f"SELECT rowid FROM {statements.FTS} WHERE {statements.FTS} MATCH %s"  # noqa: S608  # our table
            return messages.filter(pk__in=RawSQL(said, [for_sqlite(query, None)]))  # noqa: S611
        by_language = [
            (language, understood)
            for language in languages()
            if (understood := _understood(messages.db, language, query)) is not None
        ]
        if not by_language:
            return messages.none()
        each = " OR ".join("(language = %s AND words @@ %s::tsquery)" for _pair in by_language)
        said = f"SELECT message_id FROM {statements.ENTRY} WHERE {each}"  # noqa: S608
        values = [value for pair in by_language for value in pair]
        return messages.filter(pk__in=RawSQL(said, values))  # noqa: S611

    def missing(self, workspace: str | None = None) -> int:
        """See ``SearchStore.missing``."""
        return filling.missing(self._alias, workspace)

    def index(self, workspace: str | None = None, *, after: tuple[UUID, int] | None = None, size: int = 500) -> Indexed:
        """See ``SearchStore.index``."""
        return filling.index(self._alias, workspace, after, size)

    def faults(self, rows: Collection[UUID], *, repair: bool = False) -> Mapping[UUID, str]:
        """See ``SearchStore.faults``."""
        return filling.faults(self._alias, rows, repair=repair)

    def strays(self, workspace: str | None = None, *, repair: bool = False) -> int:
        """See ``SearchStore.strays``."""
        return filling.strays(self._alias, workspace, repair=repair)


def _asked(alias: str, workspace: str, query: Query) -> _Asked | None:
    """The search for a workspace; None: there is no such workspace, or its language ignores every word."""
    found = Workspace.objects.using(alias).filter(slug=workspace).values_list("pk", flat=True).first()
    if found is None:
        return None
    language = language_of(workspace)
    if connections[alias].vendor != "postgresql":
        return _Asked(found, language, {"scoped": for_sqlite(query, [found])})
    understood = _understood(alias, language, query)
    if understood is None:
        return None
    return _Asked(found, language, {"query": understood, "scoped": f"({understood}) & '{statements.MARK}{found}'"})


def _understood(alias: str, language: str, query: Query) -> str | None:
    """The search as a ``tsquery`` in a language; None where the language ignores every word."""
    said, values = for_postgresql(query)
    statement = f"SELECT CAST(q AS text), numnode(q) FROM (SELECT {said} AS q) AS asked"  # noqa: S608  # values apart
    ((text, nodes),) = fetch(connections[alias], statement, {"search_language": language, **values})
    return str(text) if nodes else None


def _rows(
    connection: BaseDatabaseWrapper, statement: str, params: dict[str, Any], *, is_narrow: bool
) -> list[tuple[Any, ...]]:
    """The rows of ``statements.find``; it is run again over more entries if too few of the newest are visible."""
    look = EVERYTHING if is_narrow else FIRST_LOOK
    while True:
        rows = fetch(connection, statement, params | {"look": look})
        looked, shown = rows[0][:2]
        if looked < look or shown >= statements.RANKED:
            return [row[2:] for row in rows if row[-1] is not None]
        look *= WIDER


def _found(connection: BaseDatabaseWrapper, workspace: str, row: tuple[Any, ...], hit: Hit) -> Found:
    """A conversation from a row of ``statements.find``."""
    ident, key, title, user_id, user_key, pinned, archived_at, active_at, hits, _message = row
    zone = connection.timezone or UTC
    if isinstance(ident, str):  # on SQLite the owner's primary key needs conversion, too
        owner: Any = Session._meta.get_field("user")
        user_id = owner.target_field.to_python(user_id)
    archived = archived_at and moment_of(archived_at, zone)
    names = (as_uuid(ident), workspace, key, title, user_id, user_key)
    return Found(*names, bool(pinned), archived, moment_of(active_at, zone), hit, hits)


def _hits(alias: str, query: Query, asked: _Asked, ids: Sequence[int]) -> dict[int, Hit]:
    """The hits for a page, by the messages' primary keys."""
    if not ids:
        return {}
    connection = connections[alias]
    is_postgresql = connection.vendor == "postgresql"
    # In the configuration "simple" a word has no other forms.
    headline = is_postgresql and asked.language.rpartition(".")[2] != DEFAULT
    params: dict[str, Any] = {"workspace_id": asked.workspace_id}
    params["ids"] = list(ids) if is_postgresql else msgspec.json.encode(list(ids)).decode()
    words = beginnings(query, whole=not headline)
    params |= {f"word_{number}": word for number, word in enumerate(words)}
    if headline:
        params |= {"search_language": asked.language, "query": asked.params["query"]}
    rows = fetch(connection, statements.shown(connection.vendor, words=len(words), headline=headline), params)
    zone = connection.timezone or UTC
    return {
        pk: Hit(seq, ident, role, moment_of(created_at, zone), excerpt(Part(*part), query, marked))
        for pk, seq, ident, role, created_at, *part, marked in rows
    }
