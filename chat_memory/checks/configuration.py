"""Owns the checks of CHAT_MEMORY itself: names, types and ranges, and the objects that dotted paths name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

import msgspec
from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Tags
from django.utils.module_loading import import_string

from chat_memory.conf import NAMES, Settings, load
from chat_memory.exceptions import ValidationError
from chat_memory.findings import Check, error, warning
from chat_memory.rules.misfits import misfit
from chat_memory.rules.names import check_workspace

DOTTED_PATHS = ("REDIS_CLIENT", "TOKEN_COUNTER", "SUMMARIZER", "EMBEDDER", "RECORDER")
READ_BY = {"EMBEDDER": "chat_memory.vectors"}
"""Settings that only a sub-app reads."""


def check_settings(**_kwargs: Any) -> list[CheckMessage]:
    """E001: not a dictionary; E002: an unknown key; E003: a wrong type, or out of range; E005: not a slug."""
    host_settings = getattr(settings, "CHAT_MEMORY", None)
    if host_settings is None:
        return []
    if not isinstance(host_settings, Mapping):
        return [error(1, "CHAT_MEMORY must be a dictionary.", "CHAT_MEMORY = {}")]
    return [message for key, value in host_settings.items() if (message := _wrong(key, value)) is not None]


def check_paths(**_kwargs: Any) -> list[CheckMessage]:
    """E006: a dotted path cannot be imported, or names an object of the wrong kind."""
    typed = typed_settings()
    return [] if typed is None else [*_wrong_paths(typed)]


def check_storage(**_kwargs: Any) -> list[CheckMessage]:
    """E013: ATTACHMENT_STORAGE is not an alias of STORAGES."""
    typed = typed_settings()
    if typed is None or typed.attachment_storage in settings.STORAGES:
        return []
    text = f"CHAT_MEMORY['ATTACHMENT_STORAGE'] is {typed.attachment_storage!r}, which is not an alias of STORAGES."
    return [error(13, text, f"Known: {', '.join(sorted(settings.STORAGES))}.")]


def check_unread(**_kwargs: Any) -> list[CheckMessage]:
    """W001: a setting is set whose sub-app is not installed."""
    typed, defaults = typed_settings(), Settings()
    unread = [name for name, app in READ_BY.items() if not apps.is_installed(app)]
    changed = [name for name in unread if typed and getattr(typed, NAMES[name]) != getattr(defaults, NAMES[name])]
    return [_unread(name) for name in changed]


def _unread(name: str) -> CheckMessage:
    text = f"CHAT_MEMORY[{name!r}] has no effect: only {READ_BY[name]} reads it."
    return warning(1, text, f"Add {READ_BY[name]!r} to INSTALLED_APPS, or leave the setting out.")


CHECKS = (
    Check(check_settings, Tags.compatibility),
    Check(check_paths, Tags.compatibility),
    Check(check_storage, Tags.compatibility),
    Check(check_unread, Tags.compatibility),
)


def typed_settings() -> Settings | None:
    """The typed settings; None where they are invalid, which ``check_settings`` reports."""
    host_settings = getattr(settings, "CHAT_MEMORY", None) or {}
    try:
        return load(host_settings) if isinstance(host_settings, Mapping) else None
    except (TypeError, ValueError):
        return None


def _wrong(key: Any, value: Any) -> CheckMessage | None:
    """The error of one setting; None where it is valid."""
    if key not in NAMES:
        near = get_close_matches(str(key), NAMES, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(sorted(NAMES))}."
        return error(2, f"CHAT_MEMORY has no setting {str(key)!r}.", hint)
    try:
        typed = load({key: value})
        check_workspace(typed.default_workspace)
    except msgspec.ValidationError as failure:
        return error(3, f"CHAT_MEMORY[{key!r}] is {value!r}: {misfit(failure).reason}.", _hint_for(key))
    except ValidationError as failure:
        return error(5, f"CHAT_MEMORY['DEFAULT_WORKSPACE']: {failure.reason}.", "Name a slug, such as 'default'.")
    return None


def _hint_for(key: str) -> str:
    if key == "CACHE":
        return "Set 'off', 'strict' or 'bounded', or leave it out."
    default = getattr(Settings(), NAMES[key])
    return f"The default is {default!r}. The reference of the settings has the unit and the range of each."


def _wrong_paths(typed: Settings) -> Iterator[CheckMessage]:
    for name in DOTTED_PATHS:
        path = getattr(typed, NAMES[name])
        if path is None:
            continue
        fits = _is_recorder if name == "RECORDER" else callable
        trouble = _trouble(path, fits)
        if trouble:
            kind = "an object with add(name, by)" if name == "RECORDER" else "a callable"
            yield error(6, f"CHAT_MEMORY[{name!r}]: {path!r} {trouble}.", f"Give the dotted path of {kind}.")


def _trouble(path: str, fits: Callable[[Any], bool]) -> str:
    """What is wrong with a dotted path; "" for nothing."""
    try:
        value = import_string(path)
    except Exception as failure:  # noqa: BLE001  # a module may raise anything while it is imported
        return f"cannot be imported ({type(failure).__name__}: {failure})"
    return "" if fits(value) else f"is of type {type(value).__name__}, which does not fit"


def _is_recorder(value: Any) -> bool:
    return callable(getattr(value, "add", None))
