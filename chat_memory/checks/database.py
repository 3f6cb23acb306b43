"""Owns the checks of the database that sessions are written to, and of Django's time zone support."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Tags
from django.db import DatabaseError, connections, router

from chat_memory.checks.configuration import typed_settings
from chat_memory.findings import Check, error, warning
from chat_memory.models import Session
from chat_memory.storage.orm.cursor import fetch_raw

STATES_OF_MIXED_STATEMENTS = frozenset({"26000", "42P05"})
"""The SQLSTATEs for a prepared statement that does not exist, or exists already, on the server."""
MOST_EXECUTIONS = 100
"""The check executes a statement at most this often; psycopg prepares it after ``prepare_threshold`` executions."""
SUPPORTED_VENDORS = ("postgresql", "sqlite")


def check_database(databases: Sequence[str] | None = None, **_kwargs: Any) -> list[CheckMessage]:
    """E004: the database chat_memory is routed to is neither PostgreSQL nor SQLite."""
    alias = router.db_for_write(Session)
    vendor = connections[alias].vendor
    if vendor in SUPPORTED_VENDORS or alias not in (databases or ()):
        return []
    hint = "Route chat_memory to a PostgreSQL (14 or newer) or SQLite (3.35 or newer) database."
    return [error(4, f"chat_memory does not support {vendor}.", hint)]


def check_time_zones(**_kwargs: Any) -> list[CheckMessage]:
    """E008: USE_TZ is False, but the package stores and returns only aware times."""
    if settings.USE_TZ:
        return []
    hint = "Set USE_TZ = True; TIME_ZONE may be any, and is what forms and templates show."
    return [error(8, "chat_memory does not support USE_TZ = False.", hint)]


def check_sqlite(**_kwargs: Any) -> list[CheckMessage]:
    """W003: SQLite transactions in production fail on a concurrent write instead of waiting for it."""
    alias = router.db_for_write(Session)
    if settings.DEBUG or connections[alias].vendor != "sqlite":
        return []
    options = connections[alias].settings_dict.get("OPTIONS", {})
    if str(options.get("transaction_mode")).upper() == "IMMEDIATE":
        return []
    hint = f"Set DATABASES[{alias!r}]['OPTIONS']['transaction_mode'] to 'IMMEDIATE'."
    return [warning(3, "SQLite transactions that read first fail when another one writes.", hint)]


def check_driver(**_kwargs: Any) -> list[CheckMessage]:
    """E011: Django uses psycopg2, which lacks what appends and imports need; with DEBUG on, reads and appends work."""
    if connections[router.db_for_write(Session)].vendor != "postgresql" or _is_psycopg3():
        return []
    hint = "Install psycopg 3, as the extra does: pip install 'django-chat-memory[postgres]'."
    return [error(11, "chat_memory needs psycopg 3, and this project uses psycopg2.", hint)]


def check_encoding(databases: Sequence[str] | None = None, **_kwargs: Any) -> list[CheckMessage]:
    """E010: the encoding of the PostgreSQL database that chat_memory is routed to is not UTF8."""
    alias = router.db_for_write(Session)
    return _wrong_encoding(alias) if alias in (databases or ()) else []


def check_deployed_encoding(**_kwargs: Any) -> list[CheckMessage]:
    """E010, with ``--deploy`` and no ``--database`` too."""
    return _wrong_encoding(router.db_for_write(Session))


def check_prepared(**_kwargs: Any) -> list[CheckMessage]:
    """E012: statements are prepared, but a pooler mixes the prepared statements of several connections.

    With DEBUG on, no statement is prepared, so such a configuration fails only after it is deployed.
    """
    alias, typed = router.db_for_write(Session), typed_settings()
    wrapper = connections[alias]
    threshold = wrapper.settings_dict.get("OPTIONS", {}).get("prepare_threshold")
    if wrapper.vendor != "postgresql" or threshold is None or typed is None or not typed.raw_cursor:
        return []
    if not _is_psycopg3() or not any(_refuses_prepared(alias, threshold) for _connection in range(2)):
        return []
    hint = f"Remove prepare_threshold from DATABASES[{alias!r}]['OPTIONS'], or update or configure the pooler."
    return [error(12, "A pooler in front of the database does not keep prepared statements apart.", hint)]


CHECKS = (
    Check(check_database, Tags.database),
    Check(check_encoding, Tags.database),
    Check(check_time_zones, Tags.compatibility),
    Check(check_driver, Tags.compatibility),
    Check(check_sqlite, Tags.compatibility, deploy=True),
    Check(check_deployed_encoding, Tags.compatibility, deploy=True),
    Check(check_prepared, Tags.compatibility, deploy=True),
)


def _wrong_encoding(alias: str) -> list[CheckMessage]:
    """E010 for one database; nothing where the database cannot be reached, because other commands report that."""
    connection = connections[alias]
    if connection.vendor != "postgresql":
        return []
    try:
        with connection.cursor() as cursor:
            cursor.execute("SHOW server_encoding")
            (encoding,) = cursor.fetchone()
    except DatabaseError:
        return []
    if encoding == "UTF8":
        return []
    hint = f"Create the database of DATABASES[{alias!r}] again: CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0."
    return [error(10, f"The encoding of the database is {encoding}, which cannot hold every message.", hint)]


def _is_psycopg3() -> bool:
    """Whether Django's PostgreSQL back end, which is loaded, uses psycopg 3."""
    driver = sys.modules.get("django.db.backends.postgresql.psycopg_any")
    return driver is None or bool(driver.is_psycopg3)


def _refuses_prepared(alias: str, threshold: int) -> bool:
    """Whether a new connection fails to prepare a statement: the server already has, or lacks, one of that name."""
    connection = connections[alias].copy()
    connection.settings_dict["OPTIONS"].pop("pool", None)  # a pool could return the same connection twice
    try:
        for _execution in range(min(threshold, MOST_EXECUTIONS) + 1):
            fetch_raw(connection, "SELECT 1", {})
    except DatabaseError as failure:
        return getattr(failure.__cause__, "sqlstate", None) in STATES_OF_MIXED_STATEMENTS
    finally:
        connection.close()
    return False
