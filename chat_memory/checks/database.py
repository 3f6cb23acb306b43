"""Owns the checks of the database that sessions are written to, and of Django's time zone support."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Tags
from django.db import connections, router

from chat_memory.findings import Check, error, warning
from chat_memory.models import Session

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


CHECKS = (
    Check(check_database, Tags.database),
    Check(check_time_zones, Tags.compatibility),
    Check(check_sqlite, Tags.compatibility, deploy=True),
)
