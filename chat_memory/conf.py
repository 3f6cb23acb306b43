"""Owns the settings of the package: their names, types, defaults and meanings; it must not act on them."""

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
    """How reads use Redis. None: strict if ``CACHES[CACHE_ALIAS]`` is a django-redis alias, else off."""
    cache_alias: str = "default"
    """The alias in ``CACHES`` whose Redis holds the cache."""
    cache_max_age: Annotated[float, msgspec.Meta(ge=0.001, le=86_400)] = 5.0
    """bounded: the maximum age of a cached answer, in seconds."""
    cache_tail: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 50
    """The number of newest messages of a session that are cached."""
    cache_ttl: Annotated[float, msgspec.Meta(ge=0, le=316_224_000)] | None = 3600.0
    """strict: seconds until a cached session expires; None: never. In any mode, 0: sessions are not cached."""
    redis_client: str | None = None
    """Dotted path of a callable that returns a Redis client, for topologies that an alias cannot express."""
    default_workspace: str = "default"
    """The slug of the workspace for calls that name none."""
    create_workspaces: bool = True
    """Whether appends and imports in Python may create an unknown workspace."""
    activity_grain: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 15.0
    """Seconds by which the indexed copy of ``active_at`` may lag; lists are in the exact order all the same."""
    raw_cursor: bool = True
    """PostgreSQL: append and read on psycopg's own binary cursor, unless queries are logged or wrapped."""
    token_counter: str | None = None
    """Dotted path of a callable ``(text) -> int``; None: tokens are estimated from the text's length."""
    inline_part_tokens: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 1_600
    """What a picture, sound or file inline in a message counts for in budgets of tokens, however large it is."""
    summarizer: str | None = None
    """Dotted path of a callable ``(messages) -> str``, sync or async."""
    summarize_at: Count | None = None
    """Summarise a session automatically once this many messages have no summary; None: never."""
    embedder: str | None = None
    """Dotted path of a callable that turns texts into vectors."""
    max_content_bytes: Count = 1024 * 1024
    """The largest content, and the largest tool calls, of one message, in bytes of UTF-8."""
    max_metadata_bytes: Count = 64 * 1024
    """The largest metadata of one message or session, in bytes of JSON."""
    max_metadata_depth: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] = 32
    """The maximum nesting depth of metadata, content parts and tool calls."""
    max_batch: Count = 10_000
    """The maximum number of messages in one append."""
    retention_days: int | None = None
    """Days after which ``chat_memory_cleanup`` removes idle sessions; None: the command requires ``--days``."""
    cleared_days: Annotated[int, msgspec.Meta(ge=0, le=36_500)] = 30
    """Days until ``chat_memory_cleanup`` removes messages hidden by ``clear()``."""
    attachment_storage: str = "default"
    """The alias in ``STORAGES`` for attachments."""
    recorder: str | None = None
    """Dotted path of a ``chat_memory.metrics.Recorder``: an object, or a class that needs no arguments."""


NAMES: Mapping[str, str] = {name.upper(): name for name in Settings.__struct_fields__}


def load(host_settings: Mapping[str, Any]) -> Settings:
    """Convert the host's dictionary to typed settings.

    Raises:
        msgspec.ValidationError: a key is unknown, or a value has the wrong type or is out of range; the error names it.
    """
    return msgspec.convert(dict(host_settings), Settings)


class _Live:
    """The present settings, read from Django's on every access; an unchanged dictionary is not converted again."""

    _converted: Mapping[str, Any] = {}
    _typed = Settings()

    def now(self) -> Settings:
        """All settings as one immutable object, for callers that need several consistent values.

        Raises:
            ImproperlyConfigured: a key is unknown, or a value has the wrong type or is out of range.
        """
        host_settings = getattr(django_settings, "CHAT_MEMORY", None) or {}
        if host_settings != self._converted:
            try:
                self._typed = load(host_settings)
            except (TypeError, ValueError) as error:
                raise ImproperlyConfigured(f"CHAT_MEMORY: {error}") from error
            self._converted = dict(host_settings)
        return self._typed

    def __getattr__(self, name: str) -> Any:
        return getattr(self.now(), name)


live = _Live()
settings: Settings = live  # type: ignore[assignment]  # the same object, typed by its attributes
