"""Owns the environment variables: the provider that they describe, and the errors in them."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from chat_memory.exceptions import ValidationError
from chat_memory.providers.configs import InMemoryConfig, PostgresConfig, RedisConfig
from chat_memory.providers.errors import MemoryConnectionError
from chat_memory.providers.memory import create_in_memory_provider
from chat_memory.providers.postgres import create_postgres_provider
from chat_memory.providers.redis import create_redis_provider
from chat_memory.providers.results import Failure, Result, Success
from chat_memory.rules.json_values import shown

logger = logging.getLogger("chat_memory.providers")

TYPE = "JAF_MEMORY_TYPE"
_PREFIXES = ("JAF_MEMORY_", "JAF_REDIS_", "JAF_POSTGRES_")
_TRUE, _FALSE = frozenset({"1", "on", "true", "yes"}), frozenset({"0", "off", "false", "no"})


class Variable(NamedTuple):
    """The field that a variable sets, of a configuration or of Django's pool, and the name that jaf's package reads."""

    field: str
    kind: type = str
    of_package: str = ""
    pool: bool = False


VARIABLES: Mapping[str, Mapping[str, Variable]] = {
    "memory": {
        "JAF_MEMORY_MAX_CONVERSATIONS": Variable("max_conversations", int),
        "JAF_MEMORY_MAX_MESSAGES": Variable("max_messages", int),
    },
    "redis": {
        "JAF_REDIS_URL": Variable("url"),
        "JAF_REDIS_HOST": Variable("host"),
        "JAF_REDIS_PORT": Variable("port", int),
        "JAF_REDIS_PASSWORD": Variable("password"),
        "JAF_REDIS_DB": Variable("db", int),
        "JAF_REDIS_KEY_PREFIX": Variable("key_prefix", of_package="JAF_REDIS_PREFIX"),
        "JAF_REDIS_TTL": Variable("ttl", int),
        "JAF_REDIS_SENTINEL_HOSTS": Variable("sentinel_hosts"),
        "JAF_REDIS_SENTINEL_SERVICE_NAME": Variable("sentinel_service_name"),
    },
    "postgres": {
        "JAF_POSTGRES_CONNECTION_STRING": Variable("connection_string"),
        "JAF_POSTGRES_HOST": Variable("host"),
        "JAF_POSTGRES_PORT": Variable("port", int),
        "JAF_POSTGRES_DATABASE": Variable("database", of_package="JAF_POSTGRES_DB"),
        "JAF_POSTGRES_USERNAME": Variable("username", of_package="JAF_POSTGRES_USER"),
        "JAF_POSTGRES_PASSWORD": Variable("password"),
        "JAF_POSTGRES_SSL": Variable("ssl", bool),
        "JAF_POSTGRES_TABLE_NAME": Variable("table_name", of_package="JAF_POSTGRES_TABLE"),
        "JAF_POSTGRES_MAX_CONNECTIONS": Variable("max_connections", int),
        "JAF_POSTGRES_POOL_MIN_SIZE": Variable("min_size", int, pool=True),
        "JAF_POSTGRES_POOL_MAX_SIZE": Variable("max_size", int, pool=True),
        "JAF_POSTGRES_POOL_MAX_INACTIVE_CONNECTION_LIFETIME": Variable("max_idle", int, pool=True),
    },
}
"""The variables of each kind of provider, by the documented name, which takes precedence if both names are set."""
WITHOUT_EFFECT = {
    "JAF_POSTGRES_POOL_MAX_QUERIES": "Django's pool closes connections by their age: set max_lifetime in its OPTIONS",
}
"""Documented variables without effect, and what to do instead."""
_CONFIGS = {"memory": InMemoryConfig, "redis": RedisConfig, "postgres": PostgresConfig}
_PERSISTENCE = {"memory": False, "redis": True, "postgres": True}


async def create_memory_provider_from_env(external_clients: Mapping[str, Any] | None = None) -> Result:
    """Make the provider that the environment variables describe; the result may be used as the provider itself.

    Args:
        external_clients: ``redis``: a client to use; ``postgres``: a connection, which is not used.

    Returns:
        ``Success`` with the provider, or ``Failure`` that names the variable or the store that does not answer.
    """
    clients = external_clients or {}
    try:
        kind, config, pool = _described()
    except ValidationError as error:
        return Failure(MemoryConnectionError(str(error), "Factory", error))
    if kind == "redis":
        return await create_redis_provider(config, clients.get("redis"))
    if kind == "postgres":
        return await create_postgres_provider(config, clients.get("postgres"), pool=pool)
    return Success(create_in_memory_provider(config))


def get_memory_provider_info() -> dict[str, Any]:
    """Describe the provider of the environment variables, without connecting and without secrets.

    Returns:
        ``type``, ``persistence``, ``configured`` with the fields that are set, and ``error`` if they cannot be used.
    """
    kind = _kind()
    told: dict[str, Any] = {"type": kind, "persistence": _PERSISTENCE.get(kind, False), "configured": []}
    try:
        config = _described()[1]
    except ValidationError as error:
        return told | {"error": str(error)}
    return told | {"configured": sorted(variable.field for variable in _set(kind)), "config": type(config).__name__}


async def test_memory_provider_connection() -> dict[str, Any]:
    """Check that the store of the environment variables answers.

    Returns:
        ``healthy``, with ``message`` or ``error``, and ``type``.
    """
    kind, made = _kind(), await create_memory_provider_from_env()
    if isinstance(made, Failure):
        return {"healthy": False, "type": kind, "error": str(made.error)}
    found = await made.data.health_check()
    await made.data.close()
    said = "message" if found["healthy"] else "error"
    return {"healthy": found["healthy"], "type": kind, said: found[said]}


test_memory_provider_connection.__test__ = False  # type: ignore[attr-defined]  # it is not a test


def _kind() -> str:
    return os.environ.get(TYPE, "memory").strip().lower() or "memory"


def _described() -> tuple[str, Any, dict[str, int]]:
    """The kind of provider, its configuration, and the settings of a pool.

    Raises:
        ValidationError: a variable cannot be used; the error names the variable or its field.
    """
    kind = _kind()
    if kind not in _CONFIGS:
        raise ValidationError(f"Unsupported memory type: {shown(kind)} is not memory, redis or postgres", field=TYPE)
    _warn_of_unknown()
    values = _set(kind)
    fields = {variable.field: value for variable, value in values.items() if not variable.pool}
    pool = {variable.field: value for variable, value in values.items() if variable.pool}
    return kind, _CONFIGS[kind](**fields), pool


def _set(kind: str) -> dict[Variable, Any]:
    """The variables of a kind that are set, with their values."""
    values = {}
    for name, variable in VARIABLES.get(kind, {}).items():
        for known in (name, variable.of_package):
            if os.environ.get(known, "").strip():
                values[variable] = _value(known, variable.kind)
                break
    return values


def _value(name: str, kind: type) -> Any:
    text = os.environ[name].strip()
    if kind is bool:
        if text.lower() in _TRUE | _FALSE:
            return text.lower() in _TRUE
        raise ValidationError(f"must be true or false, not {shown(text)}", field=name)
    try:
        return kind(text)
    except ValueError:
        raise ValidationError(f"must be a whole number, not {shown(text)}", field=name) from None


def _warn_of_unknown() -> None:
    known = {TYPE} | {
        name for of_kind in VARIABLES.values() for pair in of_kind.items() for name in (pair[0], pair[1].of_package)
    }
    for name in sorted(os.environ):
        if name in WITHOUT_EFFECT:
            logger.warning("The environment variable %s has no effect: %s", name, WITHOUT_EFFECT[name])
        elif name.startswith(_PREFIXES) and name not in known:
            logger.warning("The environment variable %s is not known, and has no effect", name)
