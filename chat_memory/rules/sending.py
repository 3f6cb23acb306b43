"""Owns which grants sending a message needs: what in it acts as a system message or as a tool's result; pure.

``rules.calls`` pairs calls with results in the forms that a model is shown. This module decides on a right, so it knows
more forms, judges unknown ones by the names of their keys, and searches at every depth.
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
"""The keys that hold the kind of an object."""
_AS_KIND = {
    role + end: act
    for role, act in _AS_ROLE.items()
    for end in ("", "message", "messagechunk", "prompt", "promptpart", "instruction", "instructions")
}
"""The act of an object of this kind that has words, such as LangChain's messages or a ``system-prompt`` part."""
_WORDS = ("content", "parts", "text", "message", "prompt", "instructions")
"""The keys of the words of an object whose kind is a role."""
_NAMING = frozenset({"role", *_KINDS, "name", "id", "object", "status", "state", "email", "created_at"})
"""The keys beside a role that are not words of that role."""
_NAMED_RESULTS = frozenset({"toolResult", "tool_result", "functionResponse", "function_response"})
"""The keys that make an object a result without a type, whatever their value is."""
_RESULT_KEY = re.compile(
    r"(?:tool|function|execution|(?:^|[\W_]|tool|function)call)[\W_]?(?:result|output|return|response)s?$",
    re.IGNORECASE,
)
"""The end of a key that makes an object a result if its value is text, a list or an object (Google, Cohere, ...)."""
_OF_TOOL, _OUTCOME = re.compile(r"tool|function|call|execution"), re.compile(r"result|output|return|response")
"""The words that make a kind one of a result, in this order: ``web_search_tool_result``, ``tool-return``."""
_APPROVAL = "approvalresponse"
"""The end of kinds by which a user allows a tool to run; they are not results."""
_ANSWERED = ("tool_use_id", "toolUseId", "tool_call_id", "toolCallId")
_CALL_IDS = (*_ANSWERED, "call_id")
"""The keys by which an object names a call; an object with a content and one of ``_ANSWERED`` is a result."""
_OUTPUTS = ("output", "outputs", "result", "results", "errorText", "error", "response")
"""The keys of the result in an object that is a call or names one."""
_CALL_ENDS = ("call", "use", "toolinvocation")
_CALL_KEYS = frozenset(
    {"tool_calls", "toolCalls", "tool_call", "function_call", "functionCall"}
    | {"tool_use", "toolUse", "toolInvocation", "code_interpreter"}
)
"""The keys of calls."""
_CALLED = frozenset({"function", "custom"})
"""The keys, and the types, under which a call holds its function and arguments."""
_ARGUMENTS = frozenset({"input", "args", "arguments", "parameters"})
_SEPARATORS = re.compile(r"[\W_]+")
_READ = 100
"""The characters that are read of a name, from its end; every known name is shorter."""
_LEAST = len("callresult")
"""The length of the shortest key of a result."""
_SILENT = frozenset({"type", "text", "image_url", "url", "detail", "id", "function", "name", "arguments", "input"})
"""The keys that most parts and calls have; an object with only these can need a grant only by its type."""
_PLAIN = frozenset({"text", "input_text", "output_text", "image_url", "input_image", "image", "file", "input_audio"})
"""Frequent kinds that need no grant."""


def sent_as(message: Message) -> Iterator[tuple[Act, str]]:
    """The acts beyond writing that sending a message needs, each with its place, such as ``role`` or ``content[0]``.

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
    """The acts of ``extra``, which may also turn the whole message into a result."""
    yield from _acts_of(extra, worded=True)
    for name, value in extra.items():
        for act in _acts_in(value, called=name in _CALL_KEYS):
            yield act, name


def _acts_in(part: Any, *, called: bool = False) -> set[Act]:
    """The acts of all objects within a JSON value, except in a call's arguments, which are data for its tool.

    Args:
        part: the value.
        called: whether it is known to be a call or a list of calls.
    """
    found: set[Act] = set()
    left = [(part, called, called)]  # each value, whether it is within a call, and whether its arguments are a call's
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
    """The acts of one object, without the objects inside it, each with the key that shows it.

    Args:
        value: the object.
        called: whether it is, or is in, a call.
        worded: whether its words are elsewhere, as the message's content.
    """
    key = _result_key(value, called=called, worded=worded)
    if key is not None:
        yield Act.SEND_TOOL, key
    by_name = list(_acts_by_name(value, worded=worded))
    yield from by_name
    if called and not by_name and value.get("content") is not None:
        yield Act.SEND_TOOL, "content"


def _acts_by_name(value: dict[str, Any], *, worded: bool) -> Iterator[tuple[Act, str]]:
    """The acts of an object with words, by its role and by its kinds."""
    role = value.get("role")
    act = _AS_ROLE.get(_squeezed(role.strip()[-_READ:])) if isinstance(role, str) else None
    if act is not None and (worded or any(map(_is_said, value, value.values()))):
        yield act, "role"
    for name, kind in _kinds(value):
        act = _AS_KIND.get(kind)
        if act is not None and (worded or _first(value, _WORDS) is not None):
            yield act, name


def _result_key(value: dict[str, Any], *, called: bool, worded: bool) -> str | None:
    """The key that makes an object a tool's result; None if it is not one."""
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
    """Whether a quick test shows that an object needs no grant, as for most objects."""
    kind = value.get("type", "text")
    return (
        value.keys() <= _SILENT
        and type(kind) is str
        and (kind in _PLAIN or (kind == "function" and "text" not in value))
    )


def _keyed(value: dict[str, Any]) -> str | None:
    """The first key that by its name and value makes an object a result; None if there is none."""
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
    """Whether a member of an object with a role may be its words."""
    return name in _WORDS or (name not in _NAMING and type(inner) in (str, list, dict) and bool(inner))


def _kinds(value: dict[str, Any]) -> list[tuple[str, str]]:
    """The kinds of an object, each with its key."""
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
