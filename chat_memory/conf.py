"""Owns the settings of the package: their names, types, defaults and meanings; it must not act on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from django.conf import Settings as HostSettings, settings as django_settings
from django.core.exceptions import ImproperlyConfigured

Count = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
SearchLanguage = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)?$", max_length=127)]


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
    lock_timeout: Annotated[float, msgspec.Meta(ge=0, le=86_400)] | None = 5.0
    """PostgreSQL: seconds that a write waits for a lock before it raises ``Busy``; None or 0: only the host's
    own ``lock_timeout`` applies. A lower ``lock_timeout`` of the host always applies."""
    lock_waiters: Count | None = 1
    """The most API requests, over all processes, that wait for the lock of one conversation; None: no limit."""
    raw_cursor: bool = True
    """PostgreSQL: append and read on psycopg's own binary cursor, unless queries are logged or wrapped."""
    token_counter: str | None = None
    """Dotted path of a callable ``(text) -> int``; None: tokens are estimated from the text's length."""
    inline_part_tokens: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 1_600
    """The tokens that a picture, sound or file in a message counts in budgets, however large it is."""
    summarizer: str | None = None
    """Dotted path of a callable ``(messages) -> str``, sync or async."""
    summarize_at: Count | None = None
    """Summarise a session automatically once this many messages have no summary; None: never."""
    search_config: SearchLanguage | dict[str, SearchLanguage] = "simple"
    """PostgreSQL: the text search configuration of messages, such as ``english``; or one for each workspace, by slug,
    where ``*`` stands for the others. For ``chat_memory.search``; after a change run ``chat_memory_search_index``."""
    search_seconds: Annotated[float, msgspec.Meta(ge=0, le=86_400)] = 3.0
    """Seconds after which a statement of a search is cancelled with ``SearchTooLong``, in the admin too; 0: no limit. A
    shorter ``statement_timeout`` of the host always applies."""
    embedder: str | None = None
    """Dotted path of a callable ``(texts) -> vectors``, sync or async, or of a class that is called without
    arguments to make one; its attribute ``name`` names the model, otherwise the path does."""
    max_content_bytes: Count = 1024 * 1024
    """The largest content, and the largest tool calls, of one message, in bytes of UTF-8."""
    max_metadata_bytes: Count = 64 * 1024
    """The largest metadata of one message or session, in bytes of JSON."""
    max_metadata_depth: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] = 32
    """The maximum nesting depth of metadata, content parts and tool calls."""
    max_batch: Count = 10_000
    """The maximum number of messages in one append."""
    max_parts: Count = 10_000
    """The maximum number of content parts, and of tool calls, of one message."""
    max_branches: Count = 1_000
    """The maximum number of branches of one session, ``main`` included."""
    max_drafts: Count = 10
    """The maximum number of messages of one session that are being streamed at the same time, on all its branches."""
    draft_flush_seconds: Annotated[float, msgspec.Meta(ge=0.125, le=60)] = 0.5
    """Seconds after which the pending text of a message that is being streamed is written."""
    draft_flush_bytes: Count = 4096
    """Bytes of pending text at which it is written sooner, but at most eight times a second."""
    draft_lapse_seconds: Annotated[float, msgspec.Meta(ge=1, le=86_400)] = 120.0
    """Seconds without a write after which a message that is being streamed counts as abandoned."""
    max_answer_bytes: Annotated[int, msgspec.Meta(ge=1024, le=2**31 - 1)] = 2 * 1024 * 1024
    """The most bytes of JSON in a page or a context of the API; one message or session is always returned."""
    retention_days: int | None = None
    """Days after which ``chat_memory_cleanup`` removes idle sessions; None: the command requires ``--days``."""
    cleared_days: Annotated[int, msgspec.Meta(ge=0, le=36_500)] = 30
    """Days until ``chat_memory_cleanup`` removes messages hidden by ``clear()``."""
    tombstone_days: Annotated[int, msgspec.Meta(ge=1, le=36_500)] = 30
    """Days for which the ids of deleted conversations and the positions of changed messages are kept; a reader whose
    cursor is older starts over."""
    regenerate_until: Literal["begun", "complete"] = "begun"
    """How long the former answer stays the current one after ``regenerate``: until the new one has begun, or until the
    caller switches to it when it is complete."""
    attachment_storage: str = "default"
    """The alias in ``STORAGES`` for the files of attachments; files there must not be served to everybody."""
    attachment_types: tuple[str, ...] = ("*/*",)
    """The media types that attachments may have, such as ``image/*``."""
    max_attachment_bytes: Count = 20 * 1024 * 1024
    """The largest attachment, in bytes."""
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
        host_settings = _given() or {}
        if host_settings != self._converted:
            try:
                self._typed = load(host_settings)
            except (TypeError, ValueError) as error:
                raise ImproperlyConfigured(f"CHAT_MEMORY: {error}") from error
            self._converted = dict(host_settings)
        return self._typed

    def __getattr__(self, name: str) -> Any:
        return getattr(self.now(), name)


def _given() -> Mapping[str, Any] | None:
    """The host's dictionary; None if there is none.

    Django's settings proxy is slow for a missing setting, and an append reads the settings eight times. So the object
    behind the proxy is read directly, without the proxy's ``__getattribute__``, which is Python code.
    """
    host: Any = object.__getattribute__(django_settings, "_wrapped")
    if type(host) is HostSettings:
        return vars(host).get("CHAT_MEMORY")
    return getattr(django_settings, "CHAT_MEMORY", None)


live = _Live()
settings: Settings = live  # type: ignore[assignment]  # the same object, typed by its attributes
