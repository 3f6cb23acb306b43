"""Owns the import of the host's functions that the settings name by dotted path."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from chat_memory.conf import live


def token_counter() -> Callable[[str], int] | None:
    """The callable that TOKEN_COUNTER names; None where it is not set.

    Raises:
        ImproperlyConfigured: the dotted path cannot be imported.
    """
    path = live.now().token_counter
    return imported("TOKEN_COUNTER", path) if path else None


def summarizer() -> Callable[..., Any] | None:
    """The callable that SUMMARIZER names; None where it is not set.

    Raises:
        ImproperlyConfigured: the dotted path cannot be imported.
    """
    path = live.now().summarizer
    return imported("SUMMARIZER", path) if path else None


def embedder() -> tuple[Callable[..., Any], str] | None:
    """The callable that EMBEDDER names, and the path; a class is instantiated once. None where it is not set.

    Raises:
        ImproperlyConfigured: the dotted path cannot be imported, or the class cannot be called without arguments.
    """
    path = live.now().embedder
    return (_made(path), path) if path else None


@cache
def _made(path: str) -> Callable[..., Any]:
    found: Callable[..., Any] = imported("EMBEDDER", path)
    if not isinstance(found, type):
        return found
    try:
        made: Callable[..., Any] = found()
    except Exception as error:
        text = f"CHAT_MEMORY's EMBEDDER: {path} cannot be called without arguments: {error}"
        raise ImproperlyConfigured(text) from error
    return made


@cache
def imported(setting: str, path: str) -> Any:
    """The object at the dotted path that a setting names, imported once in a process.

    Raises:
        ImproperlyConfigured: it cannot be imported; the text names the setting, the path and the reason.
    """
    try:
        return import_string(path)
    except ImportError as error:
        raise ImproperlyConfigured(f"CHAT_MEMORY's {setting}: {path} cannot be imported: {error}") from error
