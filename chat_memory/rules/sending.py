"""Owns as whom a message is sent: what in it acts as a message of the system, or as a tool's result; pure.

``rules.calls`` pairs calls with results in the forms that a model is shown. A right hangs on this module, so it knows
more forms, goes by what names say where it knows none, and finds them wherever providers nest them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from chat_memory.choices import DEVELOPER, Role
from chat_memory.records import Message
from chat_memory.rules.rights import Act

_AS_ROLE = {
    Role.SYSTEM.value: Act.SEND_SYSTEM,
    DEVELOPER: Act.SEND_SYSTEM,
    Role.TOOL.value: Act.SEND_TOOL,
    Role.FUNCTION.value: Act.SEND_TOOL,
}
_GRANTS = frozenset(_AS_ROLE.values())
_KINDS = ("type", "part_kind", "kind", "block_type")
"""The keys by which an object says what it is."""
_AS_KIND = {
    role + end: act
    for role, act in _AS_ROLE.items()
    for end in ("", "message", "messagechunk", "prompt", "promptpart", "instruction", "instructions")
}
"""What an object of a kind acts as if it has words: LangChain's messages, pydantic-ai's ``system-prompt``."""
_WORDS = ("content", "parts", "text", "message", "prompt", "instructions")
"""Where an object whose kind is a role has its words."""
_NAMING = frozenset({"role", *_KINDS, "name", "id", "object", "status", "state", "email", "created_at"})
"""What may stand beside a role without being said by it."""
_NAMED_RESULTS = frozenset({"toolResult", "tool_result", "functionResponse", "function_response"})
"""The keys of results that need no type, whatever their value is."""
_RESULT_KEY = re.compile(
    r"(?:tool|function|execution|(?:^|[\W_]|tool|function)call)[\W_]?(?:result|output|return|response)s?$",
    re.IGNORECASE,
)
"""How the keys of results end that have a value that may be one: Bedrock's, Google's, Cohere's and their like."""
_OF_TOOL, _OUTCOME = re.compile(r"tool|function|call|execution"), re.compile(r"result|output|return|response")
"""What kinds of results say, in this order: ``web_search_tool_result``, ``tool-return`` and so on."""
_APPROVAL = "approvalresponse"
"""How the kinds end by which a user lets a tool run, which tell nothing of what it found."""
_ANSWERED = ("tool_use_id", "toolUseId", "tool_call_id", "toolCallId")
_CALL_IDS = (*_ANSWERED, "call_id")
"""The keys by which an object names a call; with one of the first and with a content, an object is its result."""
_OUTPUTS = ("output", "outputs", "result", "results", "errorText", "error", "response")
"""Where an object that is a call, or names one, has the result."""
_CALL_ENDS = ("call", "use", "toolinvocation")
_CALL_KEYS = frozenset(
    {"tool_calls", "toolCalls", "tool_call", "function_call", "functionCall"}
    | {"tool_use", "toolUse", "toolInvocation", "code_interpreter"}
)
"""The keys of calls."""
_CALLED = frozenset({"function", "custom"})
"""The keys, and the types, by which a call has what it calls and its arguments."""
_ARGUMENTS = frozenset({"input", "args", "arguments", "parameters"})
_SEPARATORS = re.compile(r"[\W_]+")
_READ = 100
"""How many characters of a name are read, from its end: enough for every one that says something."""
_LEAST = len("callresult")
"""How long the shortest key of results is."""
_SILENT = frozenset({"type", "text", "image_url", "url", "detail", "id", "function", "name", "arguments", "input"})
"""The keys that honest parts and calls mostly have, which say nothing but by the type."""
_PLAIN = frozenset({"text", "input_text", "output_text", "image_url", "input_image", "image", "file", "input_audio"})
"""Kinds that are often seen and say nothing."""


def sent_as(message: Message) -> Iterator[tuple[Act, str]]:
    """The acts beyond writing that sending a message is, each with the place in it, such as ``role`` or ``content[0]``.

    Args:
        message: as a client sends it, not yet validated.
    """
    act = _AS_ROLE.get(message.role)
    if act is not None:
        yield act, "role"
    if type(message.content) is list:
        for index, part in enumerate(message.content):
            for act in _acts_in(part):
                yield act, f"content[{index}]"
    for index, call in enumerate(message.tool_calls or ()):
        for act in _acts_in(call, called=True):
            yield act, f"tool_calls[{index}]"
    if message.extra:
        yield from _in_further_members(message.extra)


def _in_further_members(extra: dict[str, Any]) -> Iterator[tuple[Act, str]]:
    """The acts of the further members, which may also give the message as a whole the form of a result."""
    yield from _acts_of(extra, worded=True)
    for name, value in extra.items():
        for act in _acts_in(value, called=name in _CALL_KEYS):
            yield act, name


def _acts_in(part: Any, *, called: bool = False) -> set[Act]:
    """The acts of all objects within a JSON value, but for a call's arguments, which are data of its tool.

    Args:
        part: the value.
        called: whether it is known to be a call, or calls.
    """
    found: set[Act] = set()
    left = [(part, called, called)]  # whether it is within a call; whether its arguments are a call's
    while left and len(found) < len(_GRANTS):
        value, called, free = left.pop()
        if type(value) is list:
            left += [(inner, called, free) for inner in value if type(inner) in (dict, list)]
        elif type(value) is dict:
            if not _says_nothing(value):
                found.update(act for act, _key in _acts_of(value, called=called))
            nested = [name for name, inner in value.items() if type(inner) in (dict, list)]
            free = bool(nested) and (free or _is_call(value))
            for name in nested:
                if not (free and name in _ARGUMENTS):
                    is_call = name in _CALL_KEYS or (name in _CALLED and (called or value.get("type") == name))
                    left.append((value[name], called or is_call, is_call))
    return found


def _acts_of(value: dict[str, Any], *, called: bool = False, worded: bool = False) -> Iterator[tuple[Act, str]]:
    """What an object acts as by itself, each act with the key that says so.

    Args:
        value: the object.
        called: whether it is, or is in, a call.
        worded: whether it has words that are kept elsewhere.
    """
    key = _result_key(value, called=called, worded=worded)
    if key is not None:
        yield Act.SEND_TOOL, key
    by_name = list(_acts_by_name(value, worded=worded))
    yield from by_name
    if called and not by_name and value.get("content") is not None:
        yield Act.SEND_TOOL, "content"


def _acts_by_name(value: dict[str, Any], *, worded: bool) -> Iterator[tuple[Act, str]]:
    """What an object with words acts as by its role and by what it says it is."""
    role = value.get("role")
    act = _AS_ROLE.get(_squeezed(role.strip()[-_READ:])) if isinstance(role, str) else None
    if act is not None and (worded or any(map(_is_said, value, value.values()))):
        yield act, "role"
    for name, kind in _kinds(value):
        act = _AS_KIND.get(kind)
        if act is not None and (worded or _first(value, _WORDS) is not None):
            yield act, name


def _result_key(value: dict[str, Any], *, called: bool, worded: bool) -> str | None:
    """The key that makes an object a tool's result; None where it is none."""
    key = _keyed(value)
    if key is not None:
        return key
    call_id = _first(value, _CALL_IDS)
    for name, kind in _kinds(value):
        if _is_result_kind(kind):
            return name
        called = called or kind.endswith(_CALL_ENDS) or kind.startswith(("tool", "dynamictool"))
        if call_id is not None and kind.startswith("tool") and kind in _AS_KIND:
            return name
    output = _first(value, _OUTPUTS)
    if output is not None and (called or call_id is not None):
        return next((name for name in _KINDS if name in value), output)
    return _first(value, _ANSWERED) if worded or value.get("content") is not None else None


def _says_nothing(value: dict[str, Any]) -> bool:
    """Whether a short look tells that an object acts as nothing; most do."""
    kind = value.get("type", "text")
    return (
        value.keys() <= _SILENT
        and type(kind) is str
        and (kind in _PLAIN or (kind == "function" and "text" not in value))
    )


def _keyed(value: dict[str, Any]) -> str | None:
    """The key of an object that is a key of results and has one."""
    for name, inner in value.items():
        if len(name) < _LEAST or inner is None or not _is_result_key(name[-_READ:]):
            continue
        if name in _NAMED_RESULTS or type(inner) in (str, list, dict):
            return name
    return None


@lru_cache(maxsize=1024)
def _is_result_key(name: str) -> bool:
    return _RESULT_KEY.search(name) is not None


@lru_cache(maxsize=1024)
def _is_result_kind(kind: str) -> bool:
    tool = _OF_TOOL.search(kind)
    return tool is not None and _OUTCOME.search(kind, tool.end()) is not None and not kind.endswith(_APPROVAL)


def _is_call(value: dict[str, Any]) -> bool:
    """Whether an object's arguments are those of a call."""
    named = _first(value, _CALL_IDS) is not None
    return any(
        kind.endswith(("tooluse", "toolcall", "functioncall")) or (named and kind.startswith(("tool", "dynamictool")))
        for _name, kind in _kinds(value)
    )


def _is_said(name: str, inner: Any) -> bool:
    """Whether a member of an object with a role may be what it says."""
    return name in _WORDS or (name not in _NAMING and type(inner) in (str, list, dict) and bool(inner))


def _kinds(value: dict[str, Any]) -> list[tuple[str, str]]:
    """What an object says it is, by the key."""
    return [
        (name, _squeezed(kind.strip()[-_READ:]))
        for name in _KINDS
        if name in value and isinstance(kind := value[name], str) and kind not in _PLAIN
    ]


@lru_cache(maxsize=1024)
def _squeezed(name: str) -> str:
    """A name without case and separators."""
    return _SEPARATORS.sub("", name.casefold())


def _first(value: dict[str, Any], names: tuple[str, ...]) -> str | None:
    """The first of the keys that has a value."""
    for name in names:
        if value.get(name) is not None:
            return name
    return None
