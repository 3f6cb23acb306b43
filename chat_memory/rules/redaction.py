"""Owns what is left of a message that is redacted: its place, and what a provider needs to accept what is around it.

A tool's result belongs to a call by the call's id, and a provider refuses one without the other. So calls and results
stay, with ids and the names of tools, and without what was asked and answered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from chat_memory.choices import DEVELOPER, Role, State
from chat_memory.records import Content, Message

PLACEHOLDER = "[redacted]"
"""Instead of a text; providers refuse an empty one."""
_NAMES_A_TOOL = frozenset({Role.TOOL.value, Role.FUNCTION.value})
"""The roles whose name is a tool's, and no person's."""
_OF_CALL = ("id", "type", "name", "index")
_BLANKS: Mapping[str, Any] = {"arguments": "{}", "input": "", "args": {}}
"""What a call is asked with, by the key that the formats have for it."""


def redacted(message: Message) -> Message:
    """A message without what it said: text, parts, arguments, metadata, further fields, and the name of a person."""
    calls = message.tool_calls
    return msgspec.structs.replace(
        message,
        content=_content(message),
        content_absent=message.content_absent and bool(calls),
        name=message.name if message.role in _NAMES_A_TOOL else None,
        metadata=None,
        tool_calls=None if calls is None else [_call(call) for call in calls],
        extra=_extra(message.extra or {}) or None,
        tokens=None,
        state=State.REDACTED.value,
    )


def _content(message: Message) -> Content:
    """The placeholder, or the parts that are calls and results; None beside calls that had no text."""
    content = message.content
    if content is None:
        return None if message.tool_calls else PLACEHOLDER
    parts = [part for item in content if (part := _part(item))] if isinstance(content, list) else []
    return parts or PLACEHOLDER


def _part(item: object) -> dict[str, Any] | None:
    """A part that is a call or a result, without what it holds; None for any other."""
    if not isinstance(item, Mapping):
        return None
    blank = _ANTHROPIC.get(str(item.get("type")))
    if blank:
        return blank(item)
    return next(({key: make(item[key])} for key, make in _BEDROCK.items() if isinstance(item.get(key), Mapping)), None)


def _use(item: Mapping[str, Any]) -> dict[str, Any]:
    return _kept(item, "type", "id", "toolUseId", "name") | {"input": {}}


def _result(item: Mapping[str, Any]) -> dict[str, Any]:
    return _kept(item, "type", "tool_use_id") | {"content": PLACEHOLDER}


def _bedrock_result(item: Mapping[str, Any]) -> dict[str, Any]:
    return _kept(item, "toolUseId") | {"content": [{"text": PLACEHOLDER}]}


Blank = Callable[[Mapping[str, Any]], dict[str, Any]]
_ANTHROPIC: Mapping[str, Blank] = {"tool_use": _use, "tool_result": _result}
_BEDROCK: Mapping[str, Blank] = {"toolUse": _use, "toolResult": _bedrock_result}


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    """A tool call by its id and its name, in the form it came in: OpenAI's have the name one level down."""
    flat = _asked(call)
    nested = {key: _asked(call[key]) for key in ("function", "custom") if isinstance(call.get(key), Mapping)}
    return flat | nested


def _asked(call: Mapping[str, Any]) -> dict[str, Any]:
    blanks = {key: {} if isinstance(call[key], Mapping) else blank for key, blank in _BLANKS.items() if key in call}
    return _kept(call, *_OF_CALL) | blanks


def _extra(extra: Mapping[str, Any]) -> dict[str, Any]:
    """A legacy call by its name, and OpenAI's newer role; nothing else of the further fields."""
    kept = {"role": DEVELOPER} if extra.get("role") == DEVELOPER else {}
    call = extra.get("function_call")
    return kept | ({"function_call": _asked(call)} if isinstance(call, Mapping) else {})


def _kept(item: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Those of the members that are text or a number, in their order."""
    return {name: value for name, value in item.items() if name in names and isinstance(value, str | int)}
