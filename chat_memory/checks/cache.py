"""Owns the checks of the cache: whether a client can be built, and whether mode, settings and Redis fit together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Tags
from django.core.exceptions import ImproperlyConfigured

from chat_memory import wiring
from chat_memory.cache.client import Unavailable
from chat_memory.checks.configuration import typed_settings
from chat_memory.conf import NAMES, Settings
from chat_memory.findings import Check, error, warning

INEFFECTIVE = {
    "off": ("CACHE_MAX_AGE", "CACHE_TAIL", "CACHE_TTL", "REDIS_CLIENT"),
    "strict": ("CACHE_MAX_AGE",),
    "bounded": ("CACHE_TTL",),
}
"""The settings that have no effect in each mode of the cache."""


def check_cache(**_kwargs: Any) -> list[CheckMessage]:
    """E007: the cache is on, but its alias is not a django-redis one; E009: no client can be built for the alias.

    W001: a setting has no effect in the cache's mode.
    """
    typed = typed_settings()
    if typed is None:
        return []
    mode = wiring.cache_mode(typed)
    host_settings: Mapping[str, Any] = getattr(settings, "CHAT_MEMORY", None) or {}
    is_named = typed.cache is None and "CACHE_ALIAS" in host_settings
    if typed.redis_client is None and (why := _unfit(typed.cache_alias, mode, is_named=is_named)):
        hint = f"Make CACHES[{typed.cache_alias!r}] one, name another as CACHE_ALIAS, or set CACHE to 'off'."
        return [error(7, f"The cache is {mode}, but CACHES[{typed.cache_alias!r}] {why}.", hint)]
    if mode != "off" and typed.redis_client is None and (findings := _client_findings()):
        return findings
    return _ineffective(typed, mode, host_settings)


def check_client(**_kwargs: Any) -> list[CheckMessage]:
    """E009: REDIS_CLIENT returns no usable client. Only with --deploy: a Cluster client connects to its nodes."""
    typed = typed_settings()
    is_used = typed is not None and typed.redis_client is not None and wiring.cache_mode(typed) != "off"
    return _client_findings() if is_used else []


def check_presence(**_kwargs: Any) -> list[CheckMessage]:
    """W002: there is no cache in production, and the settings do not say ``"CACHE": "off"``."""
    typed = typed_settings()
    if settings.DEBUG or typed is None or typed.cache is not None or wiring.cache_mode(typed) != "off":
        return []
    hint = "Make it a django-redis alias, or turn the cache off explicitly: CHAT_MEMORY = {'CACHE': 'off'}."
    return [warning(2, f"CACHES[{typed.cache_alias!r}] is not a django-redis alias: reads have no cache.", hint)]


def check_eviction(**_kwargs: Any) -> list[CheckMessage]:
    """W004: cached sessions never expire, and this Redis never evicts them."""
    typed = typed_settings()
    if typed is None or typed.cache_ttl is not None or wiring.cache_mode(typed) != "strict":
        return []
    try:
        configured = wiring.cache_client().configured("maxmemory*")
        policy, memory = str(configured["maxmemory-policy"]), int(configured["maxmemory"])
    except (Unavailable, ImproperlyConfigured, LookupError, TypeError, ValueError):
        return []  # no finding if the settings cannot be read; hosted servers often hide them
    if policy.startswith("allkeys-") and memory > 0:
        return []
    hint = "Set CACHE_TTL, or give this Redis a maxmemory and a policy such as allkeys-lru."
    return [
        warning(4, f"CACHE_TTL is None, and this Redis ({policy}, maxmemory {memory}) keeps sessions forever.", hint)
    ]


CHECKS = (
    Check(check_cache, Tags.caches),
    Check(check_client, Tags.caches, deploy=True),
    Check(check_presence, Tags.compatibility, deploy=True),
    Check(check_eviction, Tags.caches, deploy=True),
)


def _ineffective(typed: Settings, mode: str, host_settings: Mapping[str, Any]) -> list[CheckMessage]:
    """W001 for each setting that differs from its default and has no effect in the mode."""
    # If CACHE is not set, another machine with the same settings may have a django-redis alias, and so use them.
    names = ("REDIS_CLIENT",) if typed.cache is None and mode == "off" else INEFFECTIVE[mode]
    defaults = Settings()
    return [
        warning(1, f"CHAT_MEMORY[{name!r}] has no effect while the cache is {mode}.", _effective_in(name))
        for name in names
        if host_settings.get(name, 0) != 0 and host_settings[name] != getattr(defaults, NAMES[name])
    ]


def _effective_in(name: str) -> str:
    modes = " or ".join(repr(mode) for mode in ("strict", "bounded") if name not in INEFFECTIVE[mode])
    return f"It has an effect only where CACHE is {modes}; otherwise leave it out."


def _unfit(alias: str, mode: str, *, is_named: bool) -> str:
    """Why an alias cannot serve the cache; "" where it can. ``is_named``: the settings name the alias."""
    if alias not in settings.CACHES:
        return "does not exist" if mode != "off" or is_named else ""
    return "" if mode == "off" or _has_address(alias) else "is not a django-redis alias with a LOCATION"


def _has_address(alias: str) -> bool:
    return wiring.is_django_redis(alias) and bool(settings.CACHES[alias].get("LOCATION"))


def _client_findings() -> list[CheckMessage]:
    """E009 if no client can be built for the cache."""
    try:
        wiring.cache_client()
    except ImproperlyConfigured as failure:
        return [error(9, str(failure), "docs/explanation/cache.md says which LOCATION and OPTIONS are understood.")]
    return []
