"""Owns the settings of the package: their names, types, defaults and meaning; it must not act on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured

Count = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="upper"):
    """``CHAT_MEMORY = {...}`` in the host's settings; every key is optional."""

    cache: Literal["off", "strict", "bounded"] | None = None
    """How reads use Redis. None: strict where ``CACHES[CACHE_ALIAS]`` is a django-redis alias, else off."""
    cache_alias: str = "default"
    """Which alias of ``CACHES`` holds the cache."""
    cache_max_age: Annotated[float, msgspec.Meta(ge=0.001, le=86_400)] = 5.0
    """bounded: the oldest answer a read may give, in seconds."""
    cache_tail: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 50
    """How many of the newest messages of a session are cached."""
    cache_ttl: Annotated[float, msgspec.Meta(ge=0, le=316_224_000)] | None = 3600.0
    """strict: life of a cached session in seconds; None: until evicted. In any mode 0: sessions are not cached."""
    redis_client: str | None = None
    """Dotted path of a callable that returns a redis client, for topologies an alias cannot express."""
    default_workspace: str = "default"
    """Slug used where a call names no workspace."""
    create_workspaces: bool = True
    """Whether Python appends and imports may create an unknown workspace."""
    raw_cursor: bool = True
    """PostgreSQL: run append and reads on psycopg's own binary cursor, unless somebody watches the queries."""
    token_counter: str | None = None
    """Dotted path of a callable ``(text) -> int``; None: an estimate from the text's length."""
    summarizer: str | None = None
    """Dotted path of a callable ``(messages) -> str``, sync or async."""
    summarize_at: Count | None = None
    """Summarise a session automatically when it has grown by this many messages; None: never."""
    embedder: str | None = None
    """Dotted path of a callable that turns texts into vectors."""
    max_content_bytes: Count = 1024 * 1024
    """The largest content, or tool calls, of one message, in bytes of UTF-8."""
    max_metadata_bytes: Count = 64 * 1024
    """The largest metadata of one message or session, in bytes of JSON."""
    max_metadata_depth: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] = 32
    """How deep metadata, content parts and tool calls may nest."""
    max_batch: Count = 10_000
    """How many messages one append may carry."""
    retention_days: int | None = None
    """``chat_memory_cleanup`` without ``--days`` removes sessions idle for longer; None: it asks for ``--days``."""
    cleared_days: Annotated[int, msgspec.Meta(ge=0, le=36_500)] = 30
    """Days until ``chat_memory_cleanup`` removes messages hidden by ``clear()``."""
    attachment_storage: str = "default"
    """Alias in ``STORAGES`` for attachments."""
    recorder: str | None = None
    """Dotted path of a ``chat_memory.metrics.Recorder``: an object, or a class that needs no arguments."""


NAMES: Mapping[str, str] = {name.upper(): name for name in Settings.__struct_fields__}


def load(given: Mapping[str, Any]) -> Settings:
    """Turn the host's dictionary into typed settings.

    Raises:
        msgspec.ValidationError: a key is unknown, or a value has the wrong type or is out of range; the text names it.
    """
    return msgspec.convert(dict(given), Settings)


class _Live:
    """The settings as they are now; a dictionary that has not changed since the last look is not converted again."""

    _seen: Mapping[str, Any] = {}
    _typed = Settings()

    def now(self) -> Settings:
        """All of them at once, for who needs several.

        Raises:
            ImproperlyConfigured: a key is unknown, or a value has the wrong type or is out of range.
        """
        given = getattr(django_settings, "CHAT_MEMORY", None) or {}
        if given != self._seen:
            try:
                self._typed = load(given)
            except (TypeError, ValueError) as error:
                raise ImproperlyConfigured(f"CHAT_MEMORY: {error}") from error
            self._seen = dict(given)
        return self._typed

    def __getattr__(self, name: str) -> Any:
        return getattr(self.now(), name)


live = _Live()
settings: Settings = live  # type: ignore[assignment]  # the same attributes, read live
