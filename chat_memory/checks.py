"""Owns the system checks: wrong settings and unsuitable servers, told at start; it must not fix anything.

Every check is a function that gives its findings, each with an id, a message and a hint. E: chat_memory will not work;
W: it will, but not as well as somebody expects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import msgspec
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning as CheckWarning, register as register_check
from django.core.exceptions import ImproperlyConfigured
from django.db import connections, router
from django.utils.module_loading import import_string

from chat_memory import wiring
from chat_memory.cache.client import Unavailable
from chat_memory.conf import NAMES, Settings, load
from chat_memory.exceptions import ValidationError
from chat_memory.history.validation import check_workspace
from chat_memory.models import Session

SUPPORTED_VENDORS = ("postgresql", "sqlite")
DOTTED_PATHS = ("REDIS_CLIENT", "TOKEN_COUNTER", "SUMMARIZER", "EMBEDDER", "RECORDER")
IN_VAIN = {
    "off": ("CACHE_MAX_AGE", "CACHE_TAIL", "CACHE_TTL", "REDIS_CLIENT"),
    "strict": ("CACHE_MAX_AGE",),
    "bounded": ("CACHE_TTL",),
}
"""Settings that a mode of the cache never looks at."""


def register() -> None:
    """Make the checks known to Django."""
    register_check(check_settings, Tags.compatibility)
    register_check(check_paths, Tags.compatibility)
    register_check(check_cache, Tags.caches)
    register_check(check_database, Tags.database)
    register_check(check_time_zones, Tags.compatibility)
    register_check(check_production, Tags.compatibility, deploy=True)
    register_check(check_client, Tags.caches, deploy=True)
    register_check(check_eviction, Tags.caches, deploy=True)


def check_settings(**_kwargs: Any) -> list[CheckMessage]:
    """E001: not a dictionary; E002: an unknown key; E003: a wrong type or out of range; E005: no slug."""
    given = getattr(settings, "CHAT_MEMORY", None)
    if given is None:
        return []
    if not isinstance(given, Mapping):
        return [_error(1, "CHAT_MEMORY must be a dictionary.", "CHAT_MEMORY = {}")]
    return [message for key, value in given.items() if (message := _wrong(key, value)) is not None]


def check_paths(**_kwargs: Any) -> list[CheckMessage]:
    """E006: a dotted path that leads to nothing of use."""
    typed = _typed()
    return [] if typed is None else [*_wrong_paths(typed)]


def check_cache(**_kwargs: Any) -> list[CheckMessage]:
    """E007: no django-redis where the cache is asked for; E009: an alias that makes no client.

    W001: settings that have no effect in the mode there is.
    """
    typed = _typed()
    if typed is None:
        return []
    mode = wiring.cache_mode(typed)
    given: Mapping[str, Any] = getattr(settings, "CHAT_MEMORY", None) or {}
    named = typed.cache is None and "CACHE_ALIAS" in given
    if typed.redis_client is None and (why := _unfit(typed.cache_alias, mode, named=named)):
        hint = f"Make CACHES[{typed.cache_alias!r}] one, name another as CACHE_ALIAS, or set CACHE to 'off'."
        return [_error(7, f"The cache is {mode}, but CACHES[{typed.cache_alias!r}] {why}.", hint)]
    if mode != "off" and typed.redis_client is None and (found := _no_client()):
        return found
    # Where nobody said "off", the same settings may serve a machine whose alias is a django-redis one.
    in_vain = ("REDIS_CLIENT",) if typed.cache is None and mode == "off" else IN_VAIN[mode]
    plain = Settings()
    return [
        _warning(1, f"CHAT_MEMORY[{name!r}] has no effect while the cache is {mode}.", _counts_in(name))
        for name in in_vain
        if given.get(name, 0) != 0 and given[name] != getattr(plain, NAMES[name])
    ]


def check_client(**_kwargs: Any) -> list[CheckMessage]:
    """E009: REDIS_CLIENT gives no client that fits. Of a Cluster it asks the nodes, so not at every start."""
    typed = _typed()
    wanted = typed is not None and typed.redis_client is not None and wiring.cache_mode(typed) != "off"
    return _no_client() if wanted else []


def check_database(databases: Sequence[str] | None = None, **_kwargs: Any) -> list[CheckMessage]:
    """E004: the database chat_memory is routed to is neither PostgreSQL nor SQLite."""
    alias = router.db_for_write(Session)
    vendor = connections[alias].vendor
    if vendor in SUPPORTED_VENDORS or alias not in (databases or ()):
        return []
    hint = "Route chat_memory to a PostgreSQL (14 or newer) or SQLite (3.35 or newer) database."
    return [_error(4, f"chat_memory does not support {vendor}.", hint)]


def check_time_zones(**_kwargs: Any) -> list[CheckMessage]:
    """E008: times without a zone, where every time of ours has one."""
    if settings.USE_TZ:
        return []
    hint = "Set USE_TZ = True; TIME_ZONE may be any, and is what forms and templates show."
    return [_error(8, "chat_memory does not support USE_TZ = False.", hint)]


def check_production(**_kwargs: Any) -> list[CheckMessage]:
    """W002: no cache, and nobody said so; W003: SQLite transactions that fail where they could wait."""
    typed = _typed()
    if settings.DEBUG or typed is None:
        return []
    found = []
    if typed.cache is None and wiring.cache_mode(typed) == "off":
        hint = "Make it a django-redis alias, or say that no cache is wanted: CHAT_MEMORY = {'CACHE': 'off'}."
        found.append(_warning(2, f"CACHES[{typed.cache_alias!r}] is no django-redis alias: reads have no cache.", hint))
    alias = router.db_for_write(Session)
    options = connections[alias].settings_dict.get("OPTIONS", {})
    if connections[alias].vendor == "sqlite" and str(options.get("transaction_mode")).upper() != "IMMEDIATE":
        hint = f"Set DATABASES[{alias!r}]['OPTIONS']['transaction_mode'] to 'IMMEDIATE'."
        found.append(_warning(3, "SQLite transactions that read first fail when another one writes.", hint))
    return found


def check_eviction(**_kwargs: Any) -> list[CheckMessage]:
    """W004: cached sessions without an end, on a Redis that never evicts them."""
    typed = _typed()
    if typed is None or typed.cache_ttl is not None or wiring.cache_mode(typed) != "strict":
        return []
    try:
        told = wiring.cache_client().configured("maxmemory*")
        policy, memory = str(told["maxmemory-policy"]), int(told["maxmemory"])
    except (Unavailable, ImproperlyConfigured, LookupError, TypeError, ValueError):
        return []  # nobody is told to fix what cannot be seen; hosted servers often hide their settings
    if policy.startswith("allkeys-") and memory > 0:
        return []
    hint = "Set CACHE_TTL, or give this Redis a maxmemory and a policy such as allkeys-lru."
    return [
        _warning(4, f"CACHE_TTL is None, and this Redis ({policy}, maxmemory {memory}) keeps sessions forever.", hint)
    ]


def _wrong(key: Any, value: Any) -> CheckMessage | None:
    """What is wrong with one setting."""
    if key not in NAMES:
        near = get_close_matches(str(key), NAMES, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(sorted(NAMES))}."
        return _error(2, f"CHAT_MEMORY has no setting {str(key)!r}.", hint)
    try:
        typed = load({key: value})
        check_workspace(typed.default_workspace)
    except msgspec.ValidationError as error:
        why = str(error).partition(" - at ")[0]
        return _error(3, f"CHAT_MEMORY[{key!r}] is {value!r}: {why}.", _wanted(key))
    except ValidationError as error:
        return _error(5, f"CHAT_MEMORY['DEFAULT_WORKSPACE']: {error.reason}.", "Name a slug, such as 'default'.")
    return None


def _wanted(key: str) -> str:
    if key == "CACHE":
        return "Set 'off', 'strict' or 'bounded', or leave it out."
    return "The reference of settings, docs/reference/settings.md, has the type, the unit and the bounds of each."


def _wrong_paths(typed: Settings) -> Iterator[CheckMessage]:
    for name in DOTTED_PATHS:
        path = getattr(typed, NAMES[name])
        if path is None:
            continue
        fits = _records if name == "RECORDER" else callable
        trouble = _trouble(path, fits)
        if trouble:
            wanted = "an object with add(name, by)" if name == "RECORDER" else "a callable"
            yield _error(6, f"CHAT_MEMORY[{name!r}]: {path!r} {trouble}.", f"Give the dotted path of {wanted}.")


def _unfit(alias: str, mode: str, *, named: bool) -> str:
    """What keeps an alias from being the cache's; "" for nothing."""
    if alias not in settings.CACHES:
        return "does not exist" if mode != "off" or named else ""
    return "" if mode == "off" or _has_address(alias) else "is no django-redis alias with a LOCATION"


def _no_client() -> list[CheckMessage]:
    try:
        wiring.cache_client()
    except ImproperlyConfigured as error:
        return [_error(9, str(error), "What a client is made of is in docs/explanation/cache.md.")]
    return []


def _counts_in(name: str) -> str:
    modes = " or ".join(repr(mode) for mode in ("strict", "bounded") if name not in IN_VAIN[mode])
    return f"It counts where CACHE is {modes}; else leave it out."


def _trouble(path: str, fits: Callable[[Any], bool]) -> str:
    try:
        found = import_string(path)
    except Exception as error:  # noqa: BLE001  # a module may raise anything while it is imported
        return f"cannot be imported ({type(error).__name__}: {error})"
    return "" if fits(found) else f"is {type(found).__name__}, which does not fit"


def _records(found: Any) -> bool:
    return callable(getattr(found, "add", None))


def _has_address(alias: str) -> bool:
    return wiring.is_django_redis(alias) and bool(settings.CACHES[alias].get("LOCATION"))


def _typed() -> Settings | None:
    """The settings, if they are any: ``check_settings`` says what else is wrong."""
    given = getattr(settings, "CHAT_MEMORY", None) or {}
    try:
        return load(given) if isinstance(given, Mapping) else None
    except (TypeError, ValueError):
        return None


def _error(number: int, message: str, hint: str) -> CheckMessage:
    return Error(message, hint=hint, id=f"chat_memory.E{number:03}")


def _warning(number: int, message: str, hint: str) -> CheckMessage:
    return CheckWarning(message, hint=hint, id=f"chat_memory.W{number:03}")
