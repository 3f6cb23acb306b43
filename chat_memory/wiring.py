"""Owns which adapter serves a conversation, composed from the settings; it must not serve anything itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from django.conf import settings as django_settings
from django.utils.module_loading import import_string

from chat_memory.cache import CachedAdapter
from chat_memory.cache.client import CacheClient, Unavailable
from chat_memory.cache.coherence import Coherence, Policy
from chat_memory.cache.connecting import connect
from chat_memory.cache.keys import namespace, sums_key
from chat_memory.cache.sums import add_up
from chat_memory.conf import Settings, live
from chat_memory.storage.base import Adapter

DJANGO_ADAPTER = "chat_memory.storage.orm.DjangoAdapter"


def adapter(using: str | None = None) -> Adapter:
    """The adapter over Django's models on a database alias, behind the cache the settings ask for.

    ``using`` None: where the router writes sessions.
    """
    return _composition.adapter(using)


def cache_mode(now: Settings) -> str:
    """off, strict or bounded: as CACHE says, else strict where the alias is a django-redis one."""
    if now.cache is not None:
        return now.cache
    return "strict" if is_django_redis(now.cache_alias) else "off"


def is_django_redis(alias: str) -> bool:
    """Whether an alias of CACHES has a back end of django-redis."""
    return str(_alias(alias).get("BACKEND", "")).startswith("django_redis.")


def _alias(name: str) -> Mapping[str, Any]:
    return django_settings.CACHES.get(name) or {}


class _Composition:
    """The adapters made for the settings last seen; new settings, new adapters."""

    def __init__(self) -> None:
        self._seen: tuple[Any, Any] = (None, None)
        self._made: dict[str | None, Adapter] = {}

    def adapter(self, using: str | None) -> Adapter:
        seen = (live.now(), django_settings.CACHES)
        if seen[0] is not self._seen[0] or seen[1] is not self._seen[1]:
            self._seen, self._made = seen, {}
        made = self._made
        if using not in made:
            made[using] = _composed(using, seen[0])
        return made[using]


_composition = _Composition()


def _composed(using: str | None, now: Settings) -> Adapter:
    inner: Adapter = import_string(DJANGO_ADAPTER)(using)
    mode = cache_mode(now)
    if mode == "off":
        return inner
    policy = Policy(mode, now.cache_tail, now.cache_ttl, now.cache_max_age)  # type: ignore[arg-type]  # "off" is gone
    deployment = namespace(django_settings.SECRET_KEY, inner.identity, _prefix(now))
    return CachedAdapter(inner, Coherence(cache_client(), policy), deployment)


def cache_client() -> CacheClient:
    """The connection to the cache's Redis.

    Raises:
        ImproperlyConfigured: neither CACHE_ALIAS nor REDIS_CLIENT gives a client that fits.
    """
    now = live.now()
    return connect(now.cache_alias, now.redis_client)


def sums(process: str, batch: int, counts: Mapping[str, int]) -> Mapping[str, int]:
    """What all processes of this deployment have counted, this batch added: ``chat_memory.metrics`` asks for it.

    Raises:
        Unavailable: there is no cache, or it does not answer.
        ImproperlyConfigured: as ``cache_client``.
    """
    now = live.now()
    if cache_mode(now) == "off":
        raise Unavailable("the cache is off")
    key = sums_key(namespace(django_settings.SECRET_KEY, _prefix(now)))
    return add_up(cache_client(), key, process, batch, counts)


def _prefix(now: Settings) -> str:
    return str(_alias(now.cache_alias).get("KEY_PREFIX", ""))


def token_counter(default: Callable[[str], int]) -> Callable[[str], int]:
    """The host's TOKEN_COUNTER, or the default."""
    path = live.now().token_counter
    return _load(path) if path else default


def summarizer() -> Callable[..., Any] | None:
    """The host's SUMMARIZER; None where there is none."""
    path = live.now().summarizer
    return _load(path) if path else None


@cache
def _load(path: str) -> Any:
    return import_string(path)
