"""Owns the checks of the sub-app: that its index exists, and that the database supports it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Tags
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connections, router

from chat_memory.findings import Check, error, migrate_hint, warning
from chat_memory.models import Session
from chat_memory.search.models import Entry
from chat_memory.search.wording import languages

_UNKNOWN = """
SELECT name FROM unnest(%s::text[]) AS name WHERE NOT EXISTS (
  SELECT 1 FROM pg_ts_config c JOIN pg_namespace n ON n.oid = c.cfgnamespace
  WHERE lower(name) = n.nspname || '.' || c.cfgname OR (lower(name) = c.cfgname AND pg_ts_config_is_visible(c.oid))
)"""


def check_index(databases: Sequence[str] | None = None, **_kwargs: Any) -> list[CheckMessage]:
    """W005: the sub-app is installed, but not migrated; E014: this SQLite has no FTS5."""
    alias = router.db_for_write(Session)
    connection = connections[alias]
    if alias not in (databases or ()) or connection.vendor not in ("postgresql", "sqlite"):
        return []
    try:
        if connection.vendor == "sqlite" and not _has_fts5(connection):
            hint = "Use a build of SQLite with FTS5, or remove 'chat_memory.search' from INSTALLED_APPS."
            return [error(14, "chat_memory.search needs FTS5, which this SQLite was built without.", hint)]
        if Entry._meta.db_table in connection.introspection.table_names():
            return []
    except DatabaseError:
        return []
    run = migrate_hint(alias, Entry._meta.app_label)
    hint = f"{run}; then, if messages are stored already, chat_memory_search_index."
    text = f"chat_memory.search has no tables in the database {alias!r}, so no message can be stored."
    return [warning(5, text, hint)]


def check_languages(databases: Sequence[str] | None = None, **_kwargs: Any) -> list[CheckMessage]:
    """E015: SEARCH_CONFIG names a text search configuration that the PostgreSQL database does not have."""
    alias = router.db_for_write(Session)
    if alias not in (databases or ()) or connections[alias].vendor != "postgresql":
        return []
    try:
        with connections[alias].cursor() as cursor:
            cursor.execute(_UNKNOWN, [list(languages())])
            unknown = [name for (name,) in cursor.fetchall()]
    except (DatabaseError, ImproperlyConfigured):  # the checks of the settings report the latter
        return []
    hint = r"List the existing ones with \dF in psql, or create it with CREATE TEXT SEARCH CONFIGURATION."
    return [error(15, f"CHAT_MEMORY['SEARCH_CONFIG']: the database has no {name!r}.", hint) for name in unknown]


CHECKS = (Check(check_index, Tags.database), Check(check_languages, Tags.database))


def _has_fts5(connection: Any) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pragma_module_list WHERE name = 'fts5'")
        return cursor.fetchone() is not None
