"""Owns the conversion of names, and of other clients' forms of tool calls, to OpenAI's chat API; pure."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from chat_memory.choices import Role

LONGEST_NAME = 64
_NO_NAME_SIGN = re.compile(r"[^A-Za-z0-9_-]")
_ARGUMENTS = ("args", "arguments", "parameters", "input")
"""The keys of the arguments in a call without ``function``, as LangChain, Anthropic and Cohere write it."""
_LEGACY = "function_call"


def fit_name(name: str | None, role: str) -> str | None:
    """A name as OpenAI's pattern allows it; None if only ``_`` is left, except for a function, which needs a name."""
    fit = _NO_NAME_SIGN.sub("_", name or "")[:LONGEST_NAME]
    return fit if fit.strip("_") or (fit and role == Role.FUNCTION.value) else None


def fit_call(call: Any) -> Any:
    """A call in OpenAI's form, with arguments as text; the same object if it has that form or names no tool."""
    if not isinstance(call, dict) or call.get("type") == "custom":
        return call
    function = call.get("function")
    if isinstance(function, dict):
        fit = {**call, "type": "function", "function": _with_text(function)}
        return fit if fit != call else call
    if not isinstance(call.get("name"), str):
        return call
    given = next((call[name] for name in _ARGUMENTS if name in call), None)
    rest = {name: value for name, value in call.items() if name not in ("type", "name", *_ARGUMENTS)}
    return {**rest, "type": "function", "function": _with_text({"name": call["name"], "arguments": given})}


def fit_further(further: dict[str, Any]) -> dict[str, Any]:
    """Further fields, with the arguments of ``function_call`` as text; one without a name is left out."""
    call = further.get(_LEGACY)
    if not isinstance(call, dict):
        return further
    if call.get("name"):
        return {**further, _LEGACY: _with_text(call)}
    return {name: value for name, value in further.items() if name != _LEGACY}


def _with_text(function: dict[str, Any]) -> dict[str, Any]:
    given = function.get("arguments")
    if isinstance(given, str):
        return function
    return {**function, "arguments": "{}" if given is None else msgspec.json.encode(given).decode()}
