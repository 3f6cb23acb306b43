"""Owns the comparison of a connection's settings with those of Django's database; it must not connect."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.db import connections

from chat_memory.exceptions import ValidationError
from chat_memory.providers.configs import PostgresConfig

_IN_DATABASES = {"host": "HOST", "port": "PORT", "database": "NAME", "username": "USER", "password": "PASSWORD"}
"""The key in DATABASES of each connection field."""
_DRIVER = {"host": "host", "port": "port", "dbname": "database", "user": "username", "password": "password"}
"""The field for each name in a connection string of PostgreSQL's drivers."""
_HERE = frozenset({"", "localhost", "127.0.0.1", "::1"})
_TLS = frozenset({"require", "verify-ca", "verify-full"})


def differences(config: PostgresConfig, alias: str) -> list[str]:
    """The differences between a configuration and DATABASES, each as a sentence that says what to change.

    Only the fields that the caller set are compared. Passwords are not shown.

    Raises:
        ValidationError: the connection string cannot be read.
    """
    wanted = _wanted(config)
    if not wanted:
        return []
    connection = connections[alias]
    if connection.vendor != "postgresql":
        engine = "django.db.backends.postgresql"
        return [f"DATABASES[{alias!r}]['ENGINE'] is for {connection.vendor}: set it to {engine!r}"]
    params: Mapping[str, Any] = connection.get_connection_params()
    held = {field: params.get(name) for name, field in _DRIVER.items()}
    return [*_different(alias, wanted, held), *_without_tls(alias, wanted, params)]


def pool_differences(alias: str, pool: Mapping[str, int]) -> list[str]:
    """The differences between a pool's settings and DATABASES, as sentences; they do not affect stored data."""
    options: Any = connections[alias].settings_dict.get("OPTIONS", {}).get("pool")
    held = options if isinstance(options, dict) else {}
    place = f"DATABASES[{alias!r}]['OPTIONS']['pool']"
    return [
        f"{place}[{name!r}] is {held.get(name)!r}, not {value}"
        for name, value in pool.items()
        if held.get(name) != value
    ]


def _wanted(config: PostgresConfig) -> dict[str, Any]:
    """The fields that the caller set, in the connection string or separately; separate ones take precedence."""
    given = {name: getattr(config, name) for name in (*_IN_DATABASES, "ssl") if name in config.given}
    return (_parsed(config.connection_string) if config.connection_string else {}) | given


def _parsed(text: str) -> dict[str, Any]:
    """The fields of a connection string, a URL or ``name=value`` words.

    Raises:
        ValidationError: it is neither.
    """
    try:
        words = _of_address(text) if "://" in text else dict(word.split("=", 1) for word in shlex.split(text))
    except ValueError:
        raise ValidationError("must be a URL or name=value words", field="connection_string") from None
    found: dict[str, Any] = {_DRIVER[name]: value for name, value in words.items() if name in _DRIVER}
    return found | ({"ssl": True} if words.get("sslmode") in _TLS else {})


def _of_address(text: str) -> dict[str, str]:
    parts = urlsplit(text)
    named = {
        "host": unquote(parts.hostname or ""),
        "port": str(parts.port or ""),
        "dbname": unquote(parts.path.lstrip("/")),
        "user": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
    }
    return {name: value for name, value in named.items() if value} | dict(parse_qsl(parts.query))


def _different(alias: str, wanted: Mapping[str, Any], held: Mapping[str, Any]) -> Iterator[str]:
    for field, value in wanted.items():
        if field not in _IN_DATABASES or _same(field, value, held[field]):
            continue
        place = f"DATABASES[{alias!r}][{_IN_DATABASES[field]!r}]"
        if field == "password":
            yield f"{place} is another password: set it to the one given, or leave password out"
        else:
            yield f"{place} is {held[field]!r}: set it to {value!r}, or leave {field} out"


def _same(field: str, wanted: Any, held: Any) -> bool:
    if field == "host":
        return {wanted, held or ""} <= _HERE or wanted == held
    return str(wanted) == str(held or (5432 if field == "port" else ""))


def _without_tls(alias: str, wanted: Mapping[str, Any], params: Mapping[str, Any]) -> Iterator[str]:
    if wanted.get("ssl") and params.get("sslmode") not in _TLS:
        place = f"DATABASES[{alias!r}]['OPTIONS']['sslmode']"
        yield f"{place} is {params.get('sslmode')!r}: set it to 'require' or stricter"
