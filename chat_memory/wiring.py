"""Owns the composition of adapter and cache from the settings; it must not read or write conversations."""

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
    """The adapter for a database alias, with the cache that the settings select.

    ``using`` None: the alias to which the router writes sessions at this moment. While the settings stay the same, an
    alias always has the same adapter, so that a change reaches the cache only once.

    Raises:
        ImproperlyConfigured: the settings are invalid, or give no usable Redis client (see ``cache_client``).
    """
    return _composition.adapter(using)


def bring_to_cache(*, sender: Any, events: Sequence[Changed], **_signal: Any) -> None:
    """Forward change events to the caches before other receivers, so that none of these reads an outdated entry."""
    if events[0].using is not None:
        _composition.adapter(events[0].using)  # a process that only writes may not have built its cache yet
    relay(sender, events)


def cache_mode(now: Settings) -> str:
    """off, strict or bounded: the setting CACHE; if it is not set, strict for a django-redis alias, otherwise off."""
    if now.cache is not None:
        return now.cache
    return "strict" if is_django_redis(now.cache_alias) else "off"


def is_django_redis(alias: str) -> bool:
    """Whether the back end of an alias of CACHES is one of django-redis."""
    return str(_cache_settings(alias).get("BACKEND", "")).startswith("django_redis.")


def cache_client() -> CacheClient:
    """The client for the cache's Redis, as REDIS_CLIENT or CACHE_ALIAS says.

    Raises:
        ImproperlyConfigured: the setting gives no usable client.
    """
    now = live.now()
    return connect(now.cache_alias, now.redis_client)


def shared_counters() -> SharedCounters:
    """The store of the counters' sums over all processes of this deployment, for ``chat_memory.metrics``.

    Raises:
        Unavailable: the cache is off.
        ImproperlyConfigured: see ``cache_client``.
    """
    now = live.now()
    if cache_mode(now) == "off":
        raise Unavailable("the cache is off")
    return SharedCounters(cache_client(), sums_key(namespace(django_settings.SECRET_KEY, _prefix(now))))


class _Composition:
    """The adapters by database alias; when the settings change, new adapters are built."""

    def __init__(self) -> None:
        self._state: tuple[Any, Any, dict[str | None, Adapter]] = (None, None, {})

    def adapter(self, using: str | None) -> Adapter:
        alias = using or _routed_adapter().alias
        adapters = self._current()
        found = adapters.get(alias)
        # If two threads build an adapter at the same time, both use the one that was stored first.
        return adapters.setdefault(alias, _composed(alias)) if found is None else found

    def _current(self) -> dict[str | None, Adapter]:
        now, caches = live.now(), django_settings.CACHES
        seen, seen_caches, adapters = self._state
        if now is not seen or caches is not seen_caches:
            adapters = {}
            self._state = (now, caches, adapters)
        return adapters


_composition = _Composition()


def _composed(alias: str | None) -> Adapter:
    inner, now = _django_adapter(alias), live.now()
    mode = cache_mode(now)
    if mode == "off":
        return inner
    policy = CachePolicy(mode, now.cache_tail, now.cache_ttl, now.cache_max_age)  # type: ignore[arg-type]  # not "off"
    deployment = namespace(django_settings.SECRET_KEY, _prefix(now))
    return CachedAdapter(inner, Coherence(cache_client(), policy), deployment)


def _django_adapter(using: str | None = None) -> Adapter:
    """The adapter without a cache; imported by its dotted path, since this module must not import models."""
    made: Adapter = import_string(DJANGO_ADAPTER)(using)
    return made


@cache
def _routed_adapter() -> Adapter:
    """An adapter that is only used for its ``alias``, the one to which the router writes sessions at the moment."""
    return _django_adapter()


def _prefix(now: Settings) -> str:
    return str(_cache_settings(now.cache_alias).get("KEY_PREFIX", ""))


def _cache_settings(alias: str) -> Mapping[str, Any]:
    return django_settings.CACHES.get(alias) or {}
