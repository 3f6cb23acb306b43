"""Owns the import of the host's functions that the settings name by dotted path."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from django.utils.module_loading import import_string

from chat_memory.conf import live


def token_counter() -> Callable[[str], int] | None:
    """The callable that TOKEN_COUNTER names; None where it is not set.

    Raises:
        ImportError: the dotted path cannot be imported.
    """
    path = live.now().token_counter
    return _imported(path) if path else None


def summarizer() -> Callable[..., Any] | None:
    """The callable that SUMMARIZER names; None where it is not set.

    Raises:
        ImportError: the dotted path cannot be imported.
    """
    path = live.now().summarizer
    return _imported(path) if path else None


@cache
def _imported(path: str) -> Any:
    return import_string(path)
