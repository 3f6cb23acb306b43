"""Owns which tool calls a message makes and which it answers, in the forms that providers have for it; pure.

A call is answered in its own form only: OpenAI's ``tool_calls`` by a message in the role tool, the older
``function_call`` by one in the role function and of its name, and a call among the parts of the content by a result
among the parts of another message (Anthropic, Bedrock, OpenAI's Responses, Vercel's AI SDK). A call without an id, and
a result that names no call, have no partner.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from chat_memory.choices import Role
from chat_memory.records import Message

OPENAI, LEGACY, BEDROCK = "tool_calls", "function_call", "toolUse"
TYPED_CALLS = {
    "tool_use": ("id", "name"),
    "tool-call": ("toolCallId", "toolName"),
    "function_call": ("call_id", "name"),
}
"""By the type of a part that is a call: where its id and the name of its tool stand."""
TYPED_RESULTS = {
    "tool_result": ("tool_use", "tool_use_id"),
    "tool-result": ("tool-call", "toolCallId"),
    "function_call_output": ("function_call", "call_id"),
}
"""By the type of a part that is a result: the type of the call, and where its id stands."""
_USER, _ASSISTANT, _SYSTEM = Role.USER.value, Role.ASSISTANT.value, Role.SYSTEM.value
_TOOL, _FUNCTION = Role.TOOL.value, Role.FUNCTION.value

Key = tuple[str, str]
"""The form of a call and its id; of a legacy call its name."""


class Call(NamedTuple):
    """A call that a message makes; ``key`` is None where nothing can answer it, ``arguments`` are as they came."""

    key: Key | None
    name: str
    arguments: Any = None

    @property
    def id(self) -> str:
        """The id; "" where the call has none."""
        return self.key[1] if self.key and self.key[0] != LEGACY else ""


def starts_turn(message: Message) -> bool:
    """Whether a message is a question: a user's, unless it has results of tool calls alone."""
    return message.role == _USER and (type(message.content) is str or not is_results_alone(message.content))


def is_results_alone(content: object) -> bool:
    """Whether a content has parts, each of which is the result of a tool call."""
    return isinstance(content, list) and bool(content) and all(map(is_result, content))


def calls(message: Message) -> list[Call]:
    """The calls of a message, in its order; a call that has its result beside it in the same message is none."""
    if message.role != _ASSISTANT:
        return []
    found = [call_of(call) for call in message.tool_calls or ()]
    legacy = legacy_call(message)
    if legacy is not None:
        found.append(legacy)
    if isinstance(message.content, list):
        done = {part_answer(part) for part in message.content}
        found += [
            call for part in message.content if (call := part_call(part)) and (not call.key or call.key not in done)
        ]
    return found


def call_of(call: Any) -> Call:
    """A call of ``tool_calls``."""
    inner = call.get("function")
    said = inner if isinstance(inner, dict) else call
    return Call(_key(OPENAI, call.get("id")), _text(said.get("name")), _arguments(said))


def legacy_call(message: Message) -> Call | None:
    """The ``function_call`` of a message, which came before ``tool_calls``."""
    call = (message.extra or {}).get(LEGACY)
    if not call:
        return None
    said = call if isinstance(call, dict) else {}
    return Call(_key(LEGACY, said.get("name")), _text(said.get("name")), _arguments(said))


def part_call(part: Any) -> Call | None:
    """The call that a part of a content is."""
    if not isinstance(part, dict):
        return None
    kind = _kind(part)
    if kind in TYPED_CALLS:
        where, name = TYPED_CALLS[kind]
        return Call(_key(kind, part.get(where)), _text(part.get(name)), _arguments(part))
    use = part.get(BEDROCK)
    if not isinstance(use, dict):
        return None
    return Call(_key(BEDROCK, use.get("toolUseId")), _text(use.get("name")), _arguments(use))


def is_result(part: Any) -> bool:
    """Whether a part of a content is the result of a call."""
    return isinstance(part, dict) and (_kind(part) in TYPED_RESULTS or isinstance(part.get("toolResult"), dict))


def part_answer(part: Any) -> Key | None:
    """The call that a part of a content answers; None where it answers none."""
    if not is_result(part):
        return None
    kind = _kind(part)
    if kind in TYPED_RESULTS:
        form, where = TYPED_RESULTS[kind]
        return _key(form, part.get(where))
    return _key(BEDROCK, part["toolResult"].get("toolUseId"))


def answers(message: Message) -> Iterable[Key]:
    """The calls that a message answers."""
    if message.role in (_ASSISTANT, _SYSTEM):
        return ()
    key = answer(message)
    if key is not None:
        return (key,)
    content = message.content
    return [key for part in content if (key := part_answer(part))] if isinstance(content, list) else ()


def answer(message: Message) -> Key | None:
    """The call that a message as a whole answers: in the role tool, or function."""
    if message.role not in (_TOOL, _FUNCTION):
        return None
    if message.tool_call_id:
        return OPENAI, message.tool_call_id
    return _key(LEGACY, message.name) if message.role == _FUNCTION else None


def with_text_id(item: dict[str, Any]) -> dict[str, Any]:
    """A call, or a part that is a call or a result, with its id as text where foreign data has a number."""
    for name in ("toolUse", "toolResult"):
        if isinstance(item.get(name), dict):
            return _texted(item, name, _texted(item[name], "toolUseId"))
    kind = _kind(item)
    if kind in TYPED_RESULTS:
        return _texted(item, TYPED_RESULTS[kind][1])
    return _texted(item, TYPED_CALLS[kind][0] if kind in TYPED_CALLS else "id")


def _texted(item: dict[str, Any], name: str, value: Any = None) -> dict[str, Any]:
    value = item.get(name) if value is None else value
    text = str(value) if isinstance(value, int) else value
    return item if text is item.get(name) else {**item, name: text}


def _key(form: str, identity: object) -> Key | None:
    """The key of a call; an id that is a number in foreign data is its text."""
    if isinstance(identity, int) and not isinstance(identity, bool):
        identity = str(identity)
    return (form, identity) if isinstance(identity, str) and identity else None


def _arguments(call: dict[str, Any]) -> Any:
    return next((call[name] for name in ("arguments", "input", "args") if name in call), None)


def _kind(part: dict[str, Any]) -> str:
    kind = part.get("type")
    return kind if isinstance(kind, str) else ""


def _text(name: object) -> str:
    return name if isinstance(name, str) else ""
