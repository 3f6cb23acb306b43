"""Owns the checks of the sub-app: that its table exists, and that pgvector or numpy can compare embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Tags
from django.db import DatabaseError, connections, router

from chat_memory.findings import Check, error, migrate_hint, warning
from chat_memory.models import Session
from chat_memory.vectors.comparing import by_pgvector, has_numpy
from chat_memory.vectors.models import Embedding

_AVAILABLE = "SELECT EXISTS (SELECT 1 FROM pg_available_extensions WHERE name = 'vector')"
_TABLE = Embedding._meta.db_table


def check_table(databases: Sequence[str] | None = None, **_kwargs: Any) -> list[CheckMessage]:
    """W006: the sub-app is not migrated; E016: neither pgvector nor numpy is there; W007: pgvector is unused."""
    alias = router.db_for_write(Session)
    connection = connections[alias]
    if alias not in (databases or ()) or connection.vendor not in ("postgresql", "sqlite"):
        return []
    try:
        if _TABLE not in connection.introspection.table_names():
            hint = f"{migrate_hint(alias, Embedding._meta.app_label)}."
            text = (
                f"chat_memory.vectors has no table in the database {alias!r}, so no message can be edited or removed."
            )
            return [warning(6, text, hint)]
        if by_pgvector(connection):
            return []
        return [*_without_numpy(), *_with_unused_pgvector(connection)]
    except DatabaseError:
        return []


CHECKS = (Check(check_table, Tags.database),)


def _without_numpy() -> list[CheckMessage]:
    if has_numpy():
        return []
    hint = "Install numpy with pip install 'django-chat-memory[vectors]', or use a PostgreSQL with pgvector."
    return [error(16, "chat_memory.vectors has neither numpy nor pgvector to compare embeddings by.", hint)]


def _with_unused_pgvector(connection: Any) -> list[CheckMessage]:
    if connection.vendor != "postgresql":
        return []
    with connection.cursor() as cursor:
        cursor.execute(_AVAILABLE)
        if not cursor.fetchone()[0]:
            return []
    text = "The PostgreSQL server has pgvector, and the table of chat_memory.vectors does not use it."
    change = f"ALTER TABLE {_TABLE} ALTER COLUMN vector TYPE vector USING vector::vector"
    return [warning(7, text, f"As a superuser: CREATE EXTENSION IF NOT EXISTS vector; then {change}.")]
