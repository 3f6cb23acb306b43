"""Owns which adapter serves a conversation, composed from the settings; it must not serve anything itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from django.conf import settings as django_settings
from django.utils.module_loading import import_string

from chat_memory.cache import CachedAdapter
from chat_memory.cache.client import CacheClient, Unavailable
from chat_memory.cache.coherence import Coherence
from chat_memory.cache.connecting import connect
from chat_memory.cache.counters import SharedCounters
from chat_memory.cache.keys import namespace, sums_key
from chat_memory.cache.listening import relay
from chat_memory.cache.policy import CachePolicy
from chat_memory.conf import Settings, live
from chat_memory.storage.changed import Changed
from chat_memory.storage.contract import Adapter

DJANGO_ADAPTER = "chat_memory.storage.orm.DjangoAdapter"


def adapter(using: str | None = None) -> Adapter:
    """The adapter over Django's models on a database alias, behind the cache the settings ask for.

    ``using`` None: where the router writes sessions at this moment. The same alias has the same adapter, so that one
    change is brought to the cache once.
    """
    return _composition.adapter(using)


def bring_to_cache(*, sender: Any, events: Sequence[Changed], **_signal: Any) -> None:
    """Receive ``storage.changed.emitted``, so that nobody who hears of a change reads an older entry."""
    if events[0].using is not None:
        _composition.adapter(events[0].using)  # else a process that only writes would have no cache that hears
    relay(sender, events)


def cache_mode(now: Settings) -> str:
    """off, strict or bounded: as CACHE says, else strict where the alias is a django-redis one."""
    if now.cache is not None:
        return now.cache
    return "strict" if is_django_redis(now.cache_alias) else "off"


def is_django_redis(alias: str) -> bool:
    """Whether an alias of CACHES has a back end of django-redis."""
    return str(_cache_settings(alias).get("BACKEND", "")).startswith("django_redis.")


def cache_client() -> CacheClient:
    """The connection to the cache's Redis.

    Raises:
        ImproperlyConfigured: neither CACHE_ALIAS nor REDIS_CLIENT gives a client that fits.
    """
    now = live.now()
    return connect(now.cache_alias, now.redis_client)


def shared_counters() -> SharedCounters:
    """What all processes of this deployment count together, for ``chat_memory.metrics``.

    Raises:
        Unavailable: there is no cache.
        ImproperlyConfigured: as ``cache_client``.
    """
    now = live.now()
    if cache_mode(now) == "off":
        raise Unavailable("the cache is off")
    return SharedCounters(cache_client(), sums_key(namespace(django_settings.SECRET_KEY, _prefix(now))))


class _Composition:
    """The adapters made for the settings last seen, by alias; new settings, new adapters."""

    def __init__(self) -> None:
        self._state: tuple[Any, Any, dict[str | None, Adapter]] = (None, None, {})

    def adapter(self, using: str | None) -> Adapter:
        alias = using or _wherever_sessions_go().alias
        made = self._current()
        found = made.get(alias)
        # Of two threads that compose at once the adapter of one is kept, and nobody holds the other's.
        return made.setdefault(alias, _composed(alias)) if found is None else found

    def _current(self) -> dict[str | None, Adapter]:
        now, caches = live.now(), django_settings.CACHES
        seen, seen_caches, made = self._state
        if now is not seen or caches is not seen_caches:
            made = {}
            self._state = (now, caches, made)
        return made


_composition = _Composition()


def _composed(alias: str | None) -> Adapter:
    inner, now = _django_adapter(alias), live.now()
    mode = cache_mode(now)
    if mode == "off":
        return inner
    policy = CachePolicy(mode, now.cache_tail, now.cache_ttl, now.cache_max_age)  # type: ignore[arg-type]  # not "off"
    deployment = namespace(django_settings.SECRET_KEY, inner.identity, _prefix(now))
    return CachedAdapter(inner, Coherence(cache_client(), policy), deployment)


def _django_adapter(using: str | None = None) -> Adapter:
    """By its dotted path, since whoever imports this module must not import models."""
    made: Adapter = import_string(DJANGO_ADAPTER)(using)
    return made


@cache
def _wherever_sessions_go() -> Adapter:
    """The adapter whose alias is what the router says at the moment; it serves nobody."""
    return _django_adapter()


def _prefix(now: Settings) -> str:
    return str(_cache_settings(now.cache_alias).get("KEY_PREFIX", ""))


def _cache_settings(alias: str) -> Mapping[str, Any]:
    return django_settings.CACHES.get(alias) or {}
