"""Owns what is left of a redacted message: its place, and what a provider needs to accept the messages around it.

A provider refuses a tool call without its result and a result without its call, and matches them by the call's id. So
calls and results stay, with ids and tool names, and without arguments and output.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from chat_memory.choices import DEVELOPER, Role, State
from chat_memory.records import Content, Message
from chat_memory.rules.calls import CALL_MEMBERS, GEMINI_RESULTS, KINDS, is_call, is_found, is_result, says_nothing

PLACEHOLDER = "[redacted]"
"""Replaces a text, because providers refuse an empty one."""
_NAMES_A_TOOL = frozenset({Role.TOOL.value, Role.FUNCTION.value})
"""The roles of messages whose name is a tool's, not a person's."""
_OF_BOTH = (
    "id",
    "type",
    "name",
    "call_id",
    "toolCallId",
    "toolUseId",
    "toolName",
    *KINDS,
    "tool_call_id",
    "tool_name",
)
_OF_CALL = (*_OF_BOTH, "index", "state", "server_name", "server_label")
_OF_RESULT = (*_OF_BOTH, "tool_use_id", "approval_request_id")
_FLAGS = ("approve", "error")
_TEXTS = frozenset({"text", "input_text", "output_text"})
_ASKED: Mapping[str, Any] = {"arguments": "{}", "input": "", "args": {}, "tool_kwargs": {}}
"""The empty arguments of a call, by the key that a format has for them."""
_ANSWERED: Mapping[str, Any] = {"content": PLACEHOLDER, "output": PLACEHOLDER, "result": PLACEHOLDER}
"""The empty output of a result, by the key that a format has for it."""
_OF_HAYSTACK = "tool_call_result"
_NESTED: Mapping[str, Mapping[str, Any]] = {
    "toolResult": {"content": [{"text": PLACEHOLDER}]},
    _OF_HAYSTACK: _ANSWERED,
    **{key: {"response": {"output": PLACEHOLDER}} for key in GEMINI_RESULTS},
}
"""The empty output of a result that is nested under a key, by that key."""
_FOUND: Mapping[str, Any] = {"content": []}
"""The empty output of a tool that Anthropic runs; a text is not allowed there."""


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
        extra=_extra(message.extra or {}, message.role) or None,
        tokens=None,
        state=State.REDACTED.value,
    )


def is_redacted(message: Message) -> bool:
    """Whether a redaction would change nothing of a message but its token count and state."""
    left = redacted(message)
    return msgspec.structs.replace(left, tokens=message.tokens, state=message.state) == message


def _content(message: Message) -> Content:
    """The placeholder, with the calls and results among the parts; None for ``tool_calls`` without content.

    Parts without a type are Bedrock's, which does not take a text in place of a list of parts.
    """
    content = message.content
    if content is None:
        return None if message.tool_calls else PLACEHOLDER
    if not isinstance(content, list) or not content:
        return PLACEHOLDER
    left = _parts(content)
    if left is None and isinstance(content[0], Mapping) and "type" not in content[0]:
        left = [_text_like(content[0])]
    return left or PLACEHOLDER


def _parts(content: list[Any]) -> list[dict[str, Any]] | None:
    """The calls and results among the parts, with the placeholder for the first other part; None if there are none.

    A cache mark or blank text gets no placeholder, because text would make results alone a question.
    """
    parts = [_linked(item) for item in content]
    if not any(parts):
        return None
    told = (index for index, part in enumerate(parts) if part is None and not says_nothing(content[index]))
    first = next(told, None)
    if first is not None:
        parts[first] = _text_like(content[first])
    return [part for part in parts if part is not None]


def _linked(item: object) -> dict[str, Any] | None:
    """A call or a result without its arguments or output; None for any other part."""
    if not isinstance(item, Mapping):
        return None
    if is_call(item):
        nested = [name for name in (*CALL_MEMBERS, "toolInvocation") if isinstance(item.get(name), Mapping)]
        return (_kept(item, "type") if nested else _asked(item)) | {name: _asked(item[name]) for name in nested}
    if not is_result(item):
        return None
    results = {} if "type" in item else {name: item[name] for name in _NESTED if isinstance(item.get(name), Mapping)}
    if results:
        return {name: _answered(result, _NESTED[name]) | _origin(name, result) for name, result in results.items()}
    return _answered(item, _FOUND if isinstance(item.get("content"), list) and is_found(item) else _ANSWERED)


def _origin(name: str, result: Mapping[str, Any]) -> dict[str, Any]:
    """The call that a result under Haystack's name has in it."""
    origin = result.get("origin") if name == _OF_HAYSTACK else None
    return {"origin": _asked(origin)} if isinstance(origin, Mapping) else {}


def _text_like(item: object) -> dict[str, Any]:
    """The placeholder as a part, in the form of the part that it replaces: Bedrock's texts have no type."""
    if isinstance(item, Mapping) and "type" not in item:
        return {"text": PLACEHOLDER}
    kind = _kind(item)
    return {"type": kind if kind in _TEXTS else "text", "text": PLACEHOLDER}


def _kind(item: object) -> str:
    """The type of a part; "" if it has none, or if it is not text."""
    kind = item.get("type") if isinstance(item, Mapping) else None
    return kind if isinstance(kind, str) else ""


def _answered(item: Mapping[str, Any], blanks: Mapping[str, Any]) -> dict[str, Any]:
    """A result with only the id of its call; the output in Vercel's AI SDK is an object."""
    held = {key: blank for key, blank in blanks.items() if key in item}
    if isinstance(held.get("output"), str) and isinstance(item["output"], Mapping):
        held["output"] = {"type": "text", "value": PLACEHOLDER}
    flags = {key: item[key] for key in _FLAGS if isinstance(item.get(key), bool)}
    return _kept(item, *_OF_RESULT) | held | flags


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    """A tool call with only its id and name, in its own form: OpenAI's have the name one level down."""
    flat = _asked(call)
    nested = {key: _asked(call[key]) for key in ("function", "custom") if isinstance(call.get(key), Mapping)}
    return flat | nested


def _asked(call: Mapping[str, Any]) -> dict[str, Any]:
    blanks = {key: {} if isinstance(call[key], Mapping) else blank for key, blank in _ASKED.items() if key in call}
    return _kept(call, *_OF_CALL) | blanks


def _extra(extra: Mapping[str, Any], role: str) -> dict[str, Any]:
    """The ``extra`` that stays: a legacy call by its name, OpenAI's role ``developer``, the tool of Ollama's result."""
    kept = {"role": DEVELOPER} if extra.get("role") == DEVELOPER else {}
    kept |= _kept(extra, "tool_name") if role in _NAMES_A_TOOL else {}
    call = extra.get("function_call")
    return kept | ({"function_call": _asked(call)} if isinstance(call, Mapping) else {})


def _kept(item: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """The named members whose values are text or a number, in the item's order."""
    return {name: value for name, value in item.items() if name in names and isinstance(value, str | int)}
