"""Owns the provider over Django's database, and the check that it is the database the caller expects."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from asgiref.sync import sync_to_async

from chat_memory import wiring
from chat_memory.health import health
from chat_memory.providers.agreement import differences, pool_differences
from chat_memory.providers.configs import TABLE_NAME, PostgresConfig, of_kind
from chat_memory.providers.errors import EXPECTED, MemoryConnectionError
from chat_memory.providers.places import Place
from chat_memory.providers.provider import StoredProvider
from chat_memory.providers.results import Failure, Result, Success
from chat_memory.rules.names import check_workspace

logger = logging.getLogger("chat_memory.providers")


class PostgresProvider(StoredProvider):
    """Conversations in Django's database, in the tables of this app, with the cache of the settings.

    Args:
        config: the alias and the workspace.
    """

    name = "Postgres"

    def __init__(self, config: PostgresConfig) -> None:
        workspace = None if config.table_name == TABLE_NAME else config.table_name
        if workspace is not None:
            check_workspace(workspace)
        super().__init__(config, Place(workspace=workspace, using=config.using))

    def _health(self) -> dict[str, Any]:
        found = health(self.place.using)
        said = {"message": found.message} if found.database.ok else {"error": found.message}
        details = {"status": found.status, "cache": found.cache.mode}
        return said | {"latency_ms": found.database.latency_ms, "metrics": found.metrics, "details": details}


async def create_postgres_provider(
    config: PostgresConfig | None = None, connection: Any = None, *, pool: Mapping[str, int] | None = None
) -> Result:
    """Make a provider over Django's database; the result may be used as the provider itself.

    The connection fields of ``config`` are compared with DATABASES, and not used to connect. A difference is a failure
    that says what to change, because the conversations would otherwise be stored elsewhere than the caller expects.

    Args:
        config: the database that the caller expects; None: any.
        connection: accepted for compatibility and not used, because Django has its own connections.
        pool: sizes and lifetimes by the names of Django's pool; a difference is only logged.

    Returns:
        ``Success`` with the provider, or ``Failure``.
    """
    if connection is not None:
        logger.debug("A connection was passed to a provider, which uses Django's")
    return await sync_to_async(_created)(config, pool or {})


def _created(config: PostgresConfig | None, pool: Mapping[str, int]) -> Result:
    try:
        given = of_kind(PostgresConfig, config)
        provider = PostgresProvider(given)
        alias = wiring.adapter(given.using).alias or "default"
        found = differences(given, alias)
        sizes = ({"max_size": given.max_connections} if "max_connections" in given.given else {}) | dict(pool)
        for difference in pool_differences(alias, sizes):
            logger.warning("A provider's pool is Django's: %s", difference)
    except EXPECTED as error:
        return Failure(MemoryConnectionError(f"Not connected: {error}", PostgresProvider.name, error))
    if found:
        why = f"The configuration is not Django's database: {'; '.join(found)}"
        return Failure(MemoryConnectionError(why, PostgresProvider.name))
    return Success(provider)
