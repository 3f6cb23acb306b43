"""Owns the configurations of the three providers, which are checked when they are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from chat_memory.exceptions import ValidationError
from chat_memory.rules.json_values import shown

TABLE_NAME = "conversations"
"""The table name that means DEFAULT_WORKSPACE."""
_PORTS = (1, 65_535)


class Checked:
    """The checks that configurations share."""

    def _fill(self, **defaults: Any) -> None:
        """Record in ``given`` the fields that the caller set, and set the others to their defaults."""
        object.__setattr__(self, "given", frozenset(name for name in defaults if getattr(self, name) is not None))
        for name, value in defaults.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)

    def _check_numbers(self, **bounds: tuple[int, int | None]) -> None:
        for name, (least, most) in bounds.items():
            value = getattr(self, name)
            if value is None:
                continue
            is_whole = isinstance(value, int) and not isinstance(value, bool)
            if not is_whole or value < least or (most is not None and value > most):
                upto = "" if most is None else f" to {most}"
                raise ValidationError(f"must be a whole number from {least}{upto}, not {shown(value)}", field=name)

    def _check_texts(self, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            if value is not None and not isinstance(value, str):
                raise ValidationError(f"must be text, not {type(value).__name__}", field=name)


@dataclass(frozen=True)
class InMemoryConfig(Checked):
    """The limits of the provider in this process.

    Attributes:
        max_conversations: the most conversations; beyond them the one that was idle longest is deleted and logged.
        max_messages: the number of newest messages of a conversation that are shown; the others stay stored.
        max_messages_per_conversation: another name of ``max_messages``.

    Raises:
        ValidationError: a number is not a whole number from 1, or the two names have different numbers.
    """

    max_conversations: int = 1000
    max_messages: Any = None
    max_messages_per_conversation: Any = None
    type: str = "memory"

    def __post_init__(self) -> None:
        one = ("max_conversations", "max_messages", "max_messages_per_conversation")
        self._check_numbers(**dict.fromkeys(one, (1, None)))
        named = {self.max_messages, self.max_messages_per_conversation} - {None}
        if len(named) > 1:
            raise ValidationError("differs from max_messages, and both mean the same", field=one[2])
        number = named.pop() if named else 1000
        for name in one[1:]:
            object.__setattr__(self, name, number)


@dataclass(frozen=True)
class RedisConfig(Checked):
    """Which Redis to use, by a URL, by its parts, or by Sentinels.

    Attributes:
        url: the URL; the other fields given here take precedence over its parts.
        host: the server's name.
        port: its port.
        password: its password.
        db: the number of the database.
        key_prefix: the prefix of every key; a conversation's key is the prefix and its id.
        ttl: seconds after the last write until a conversation expires; None: never.
        sentinel_hosts: ``host:port`` of Sentinels, as a list or separated by commas; they name the server.
        sentinel_service_name: the service to ask the Sentinels for.

    Raises:
        ValidationError: a field cannot be used.
    """

    url: str | None = None
    host: Any = None
    port: Any = None
    password: str | None = None
    db: Any = None
    key_prefix: str = "jaf:memory:"
    ttl: int | None = None
    sentinel_hosts: Any = None
    sentinel_service_name: str | None = None
    type: str = "redis"
    given: frozenset[str] = field(default=frozenset(), init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._check_texts("url", "host", "password", "key_prefix", "sentinel_service_name")
        self._check_numbers(port=_PORTS, db=(0, None), ttl=(1, None))
        object.__setattr__(self, "sentinel_hosts", _hosts(self.sentinel_hosts))
        if bool(self.sentinel_hosts) != bool(self.sentinel_service_name):
            raise ValidationError("goes with sentinel_hosts: give both or neither", field="sentinel_service_name")
        if self.sentinel_hosts and self.url:
            raise ValidationError("names a server, and the Sentinels do too: leave one out", field="url")
        self._fill(host="localhost", port=6379, db=0, password=None)


@dataclass(frozen=True)
class PostgresConfig(Checked):
    """The database that the caller expects: it is only compared with Django's, and not used to connect.

    Attributes:
        connection_string: a connection string whose parts are compared.
        host: compared, if it is given.
        port: see ``host``.
        database: see ``host``.
        username: see ``host``.
        password: see ``host``.
        ssl: True: Django's connections must require TLS.
        table_name: the slug of the workspace; ``conversations``: DEFAULT_WORKSPACE.
        max_connections: compared with the alias' pool; a difference is only logged.
        using: the alias in DATABASES; None: where the router writes sessions.

    Raises:
        ValidationError: a field cannot be used.
    """

    connection_string: str | None = None
    host: Any = None
    port: Any = None
    database: Any = None
    username: Any = None
    password: str | None = None
    ssl: Any = None
    table_name: str = TABLE_NAME
    max_connections: Any = None
    using: str | None = None
    type: str = "postgres"
    given: frozenset[str] = field(default=frozenset(), init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._check_texts("connection_string", "host", "database", "username", "password", "table_name", "using")
        self._check_numbers(port=_PORTS, max_connections=(1, None))
        if self.ssl is not None and not isinstance(self.ssl, bool):
            raise ValidationError(f"must be true or false, not {shown(self.ssl)}", field="ssl")
        self._fill(
            connection_string=None,
            host="localhost",
            port=5432,
            database="jaf_memory",
            username="postgres",
            password=None,
            ssl=False,
            max_connections=10,
        )


MemoryProviderConfig = InMemoryConfig | RedisConfig | PostgresConfig


def _hosts(given: Any) -> tuple[tuple[str, int], ...] | None:
    """Sentinels as pairs of host and port.

    Raises:
        ValidationError: one of them is not ``host:port``.
    """
    if not given:
        return None
    listed = given.split(",") if isinstance(given, str) else given
    return tuple(_host(one) for one in listed)


def _host(given: Any) -> tuple[str, int]:
    host, _colon, port = given.strip().rpartition(":") if isinstance(given, str) else (*given[:1], ":", *given[1:])
    if not host or not str(port).isdecimal() or not 1 <= int(port) <= _PORTS[1]:
        raise ValidationError(f"must be host:port, not {shown(given)}", field="sentinel_hosts")
    return str(host), int(port)


def of_kind(kind: type, given: Any) -> Any:
    """A configuration of a class, made from jaf's own with the fields that the caller set; None: the defaults.

    Raises:
        ValidationError: it is of any other class.
    """
    if given is None or isinstance(given, kind):
        return kind() if given is None else given
    values: Any = getattr(given, "model_fields_set", None)
    own = {one.name for one in fields(kind) if one.init}
    if values is None or not set(values) <= own:
        raise ValidationError(f"must be a {kind.__name__}, not {type(given).__name__}", field="config")
    chosen: Mapping[str, Any] = {name: getattr(given, name) for name in values}
    return kind(**chosen)
