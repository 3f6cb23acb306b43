"""Owns the answers of a provider in the form of jaf's engine: instances of jaf's own classes, if jaf is installed.

Without jaf the base classes are empty, and calls, parts and attachments stay the stored mappings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any


def _found(module: str, name: str) -> Any:
    """A class of jaf; None if jaf is not installed, or its version has no such class."""
    try:
        return getattr(import_module(f"jaf.{module}"), name, None)
    except ImportError:
        return None


class _Nothing:
    """The base of a class that has no counterpart in jaf."""


if TYPE_CHECKING:
    SuccessBase = _Nothing
    FailureBase = _Nothing
    MessageBase = _Nothing
    ConversationBase = _Nothing
    QueryBase = _Nothing
    ConfigBase = _Nothing
    ErrorBase = _Nothing
    ConnectionErrorBase = _Nothing
    NotFoundErrorBase = _Nothing
    StorageErrorBase = _Nothing
else:
    SuccessBase = _found("memory.types", "Success") or _Nothing
    FailureBase = _found("memory.types", "Failure") or _Nothing
    MessageBase = _found("core.types", "Message") or _Nothing
    ConversationBase = _found("memory.types", "ConversationMemory") or _Nothing
    QueryBase = _found("memory.types", "MemoryQuery") or _Nothing
    ConfigBase = _found("memory.types", "MemoryConfig") or _Nothing
    ErrorBase = _found("memory.types", "MemoryError") or _Nothing
    ConnectionErrorBase = _found("memory.types", "MemoryConnectionError") or _Nothing
    NotFoundErrorBase = _found("memory.types", "MemoryNotFoundError") or _Nothing
    StorageErrorBase = _found("memory.types", "MemoryStorageError") or _Nothing

_ToolCall = _found("core.types", "ToolCall")
_Function = _found("core.types", "ToolCallFunction")
_Part = _found("core.types", "MessageContentPart")
_Attachment = _found("core.types", "Attachment")
INSTALLED = _ToolCall is not None
"""Whether jaf is installed."""
_PARTS = frozenset({"text", "image_url", "file"})


class Unset(int):
    """A number that is false: the engine treats it as no limit and cuts nothing, while other readers get the number."""

    def __bool__(self) -> bool:
        return False


def for_engine(number: int | None) -> int | None:
    """A limit that the provider applies itself; if jaf is installed, one that the engine treats as no limit."""
    return Unset(number) if INSTALLED and number is not None else number


def tool_calls(stored: list[Any] | None) -> list[Any] | None:
    """The calls as objects of jaf, because the engine reads their attributes."""
    return None if stored is None else [_made(_call, call) for call in stored]


def content(stored: str | list[Any]) -> str | list[Any]:
    """The content with parts as objects of jaf, for the kinds that jaf has; others stay mappings."""
    return stored if isinstance(stored, str) else [_made(_part, part) for part in stored]


def attachments(stored: list[Any] | None) -> list[Any] | None:
    """The attachments as objects of jaf."""
    return None if stored is None else [_made(lambda fields: _Attachment(**fields), one) for one in stored]


def text_part(text: str) -> Any:
    """A text as a part, for a message that the engine must not parse."""
    return _made(_part, {"type": "text", "text": text})


def _made(make: Callable[[Mapping[str, Any]], Any], stored: Any) -> Any:
    """The result of ``make`` for a mapping; a value in any other form stays as it is stored."""
    if not INSTALLED or not isinstance(stored, Mapping):
        return stored
    try:
        return make(stored)
    except (TypeError, ValueError, KeyError):
        return stored


def _call(stored: Mapping[str, Any]) -> Any:
    return _ToolCall(id=stored["id"], type=stored["type"], function=_Function(**stored["function"]))


def _part(stored: Mapping[str, Any]) -> Any:
    return _Part(**stored) if stored["type"] in _PARTS else stored
