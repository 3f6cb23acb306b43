"""Owns the unique name of a database, by which a cache tells its entries from those of other databases."""

from __future__ import annotations

import secrets
from typing import Any, NamedTuple
from weakref import WeakSet

from django.apps import AppConfig
from django.db import DatabaseError, connections, transaction
from django.db.backends.signals import connection_created
from django.db.models import signals

from chat_memory.exceptions import Busy
from chat_memory.models import DatabaseToken
from chat_memory.storage.orm.cursor import fetch
from chat_memory.storage.orm.transactions import owns_transaction, run_write

_PLACES = {
    "postgresql": "concat_ws('|', current_database(), current_schema(), pg_is_in_recovery())",
    "sqlite": "(SELECT file FROM pragma_database_list WHERE name = 'main')",
}
"""By vendor, the place of the tables as the database itself reports it, so that copies in two places have two names.

A replica has a name of its own, because it may lag: its state must not be taken for that of the primary."""


class _Name(NamedTuple):
    """A name; ``lasts``: whether it stays valid after the transaction in which it was read."""

    text: str
    lasts: bool


_known: dict[tuple[str, str], _Name] = {}
_met: WeakSet[Any] = WeakSet()
"""PostgreSQL connections that were seen before: a pool may hand one out again, and it reaches the same database."""


def name_of(alias: str) -> str:
    """The name of the database behind an alias, and of the schema that the connection has as ``schema_name``.

    The process asks the database again after each new connection, because another database may answer under the same
    alias. The first call that finds no row creates it, but not within the caller's transaction. Without a row, then or
    because the database cannot be written, the name is a random one that no other process has.

    Raises:
        DatabaseError: the database does not answer, or is not migrated.
    """
    schema = getattr(connections[alias], "schema_name", None) or ""
    known = _known.get((alias, schema))
    if known is None or not (known.lasts or not owns_transaction(alias)):
        known = _asked(alias, schema)
        _known[alias, schema] = known
    return known.text


def connect(config: AppConfig) -> None:
    """Connect the receivers for when a name may have changed; called once, by ``AppConfig.ready()``."""
    connection_created.connect(_on_connection, dispatch_uid=_on_connection)
    signals.post_migrate.connect(_on_migrate, sender=config, dispatch_uid=_on_migrate)  # a flush sends it too
    for changed in (signals.post_save, signals.post_delete):
        changed.connect(_on_token, sender=DatabaseToken, dispatch_uid=_on_token)


def _asked(alias: str, schema: str) -> _Name:
    found = _row(alias)
    if found is None and owns_transaction(alias):
        _make_row(alias)
        found = _row(alias)
    if found is None:
        return _Name(_drawn(), lasts=owns_transaction(alias))
    return _Name("\n".join([*map(str, found), schema]), lasts=True)


def _row(alias: str) -> tuple[Any, ...] | None:
    connection = connections[alias]
    table = DatabaseToken._meta.db_table
    sql = f"SELECT token, {_PLACES[connection.vendor]} FROM {table} WHERE id = %(id)b"  # noqa: S608  # our own names
    rows = fetch(connection, sql, {"id": DatabaseToken.ONLY})
    return rows[0] if rows else None


def _make_row(alias: str) -> None:
    """Create the row, unless another process does; no effect if the database cannot be written."""

    def write(**_nested: bool) -> None:
        DatabaseToken._default_manager.using(alias).bulk_create([DatabaseToken(token=_drawn())], ignore_conflicts=True)

    try:
        run_write(alias, write)
    except (Busy, DatabaseError):  # a replica, a server that is read-only for now, or somebody is making it
        return


def _drawn() -> str:
    return secrets.token_hex(16)


def _forget(alias: str) -> None:
    for known in [*_known]:
        if known[0] == alias:
            _known.pop(known, None)


def _on_connection(connection: Any, **_signal: Any) -> None:
    if connection.vendor == "postgresql":
        if connection.connection in _met:
            return
        _met.add(connection.connection)
    _forget(connection.alias)


def _on_migrate(using: str, **_signal: Any) -> None:
    _forget(using)


def _on_token(using: str, **_signal: Any) -> None:
    transaction.on_commit(lambda: _forget(using), using=using)
