"""Owns which tool calls a message makes and which it answers, in the forms that providers have for it; pure.

A call is only answered in its own form. OpenAI's ``tool_calls``, and the parts of LangChain and LlamaIndex, are
answered by a message in the role tool; the older ``function_call`` by a message in the role function with its name; a
call among the parts of the content by a result among the parts of another message (Anthropic, Bedrock, Gemini, OpenAI's
Responses, Vercel's AI SDK, pydantic-ai, Haystack, Semantic Kernel). A tool that the provider runs itself has its result
in an assistant's message: the one with the call, or one directly behind it. Calls of Gemini and ``tool_calls`` without
ids are matched by name and order, see ``callers``; any other call without an id, and a result that names no call, match
nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from chat_memory.choices import Role
from chat_memory.records import Message

OPENAI, LEGACY, BEDROCK = "tool_calls", "function_call", "toolUse"
GEMINI, BY_NAME = "functionCall", "functionCall by name"
BY_ORDER = "tool_calls by order"
_HAYSTACK, _BY_FUNCTION = "tool_call in haystack", "function_call by name"
_ID_OF_TOOL = frozenset({"tool_call", "invalid_tool_call", "block tool_call"})
"""The types of parts that are calls which a message in the role tool answers: LangChain's and LlamaIndex'."""
TYPED_CALLS = {
    "tool_use": ("id", "name"),
    "server_tool_use": ("id", "name"),
    "mcp_tool_use": ("id", "name"),
    "tool-call": ("toolCallId", "toolName"),
    "part tool-call": ("tool_call_id", "tool_name"),
    "part builtin-tool-call": ("tool_call_id", "tool_name"),
    "tool_call": ("id", "name"),
    "invalid_tool_call": ("id", "name"),
    "server_tool_call": ("id", "name"),
    "block tool_call": ("tool_call_id", "tool_name"),
    "content function_call": ("id", "name"),
    "mcp_approval_request": ("id", "name"),
}
"""The keys of the call's id and of the tool's name, by the type of a part that is a call."""
TYPED_RESULTS = {
    "tool_result": ("tool_use", "tool_use_id"),
    "mcp_tool_result": ("mcp_tool_use", "tool_use_id"),
    "tool-result": ("tool-call", "toolCallId"),
    "part tool-return": ("part tool-call", "tool_call_id"),
    "part retry-prompt": ("part tool-call", "tool_call_id"),
    "part builtin-tool-return": ("part builtin-tool-call", "tool_call_id"),
    "server_tool_result": ("server_tool_call", "tool_call_id"),
    "content function_result": ("content function_call", "id"),
    "mcp_approval_response": ("mcp_approval_request", "approval_request_id"),
}
"""The type of the call and the key of the call's id, by the type of a part that is a result."""
KINDS = {"part_kind": "part", "block_type": "block", "content_type": "content"}
"""The keys that hold the type of a part in forms without ``type``."""
_RETRY = "retry-prompt"
"""A part of pydantic-ai that reports an error: with a tool name, in the arguments of a call; else in an answer."""
_RESPONSES, _RESPONSES_RESULT = "_call", "_call_output"
"""The suffixes of the types of calls and of their results in OpenAI's Responses."""
_RUN_BY_OPENAI = "tool_search_call"
"""A call of Responses that has a ``call_id`` although OpenAI may run it."""
_SERVER_RESULT = "_tool_result"
"""The suffix of the types of results of a ``server_tool_use``, a tool that Anthropic runs."""
_OF_OTHERS = frozenset({"tool_use", BEDROCK, GEMINI, BY_NAME})
"""The forms whose results must not be in an assistant's message: those of Anthropic, Bedrock and Gemini."""
_BY_ANTHROPIC = frozenset({"server_tool_use", "mcp_tool_use"})
"""The forms whose results must be in an assistant's message: those of tools that Anthropic runs."""
GEMINI_CALLS, GEMINI_RESULTS = ("functionCall", "function_call"), ("functionResponse", "function_response")
CALL_MEMBERS = (BEDROCK, *GEMINI_CALLS, "tool_call")
"""The keys of a part that hold a call."""
TEXTS = (None, "text", "input_text", "output_text")
"""The types of parts that are texts; Bedrock's and Gemini's have none."""
_SIGNATURES = ("thoughtSignature", "thought_signature")
_UNDONE = frozenset(
    {"input-streaming", "input-available", "approval-requested", "approval-responded", "partial-call", "call"}
)
"""The states of a call in Vercel's UI messages without a result; the result would be in the same part."""
_USER, _ASSISTANT, _SYSTEM = Role.USER.value, Role.ASSISTANT.value, Role.SYSTEM.value
_TOOL, _FUNCTION = Role.TOOL.value, Role.FUNCTION.value

Key = tuple[str, str]
"""The form of a call, and its id or, for a legacy call, its name."""


class Call(NamedTuple):
    """A call that a message makes; ``key``: None if no result can name it; ``arguments``: as stored."""

    key: Key | None
    name: str
    arguments: Any = None

    @property
    def id(self) -> str:
        """The id; "" where the call has none."""
        return self.key[1] if self.key and self.key[0] not in (_BY_FUNCTION, BY_NAME, BY_ORDER) else ""


def starts_turn(message: Message) -> bool:
    """Whether a message is a question: a user's message that is not only tool results."""
    return message.role == _USER and (type(message.content) is str or not is_results_alone(message.content))


def is_results_alone(content: object) -> bool:
    """Whether a content is a list of tool results, besides which it has only cache marks and blank texts."""
    if not isinstance(content, list):
        return False
    return all(is_result(part) or says_nothing(part) for part in content) and any(map(is_result, content))


def says_nothing(part: Any) -> bool:
    """Whether a part is a cache mark in Bedrock's form, or a blank text."""
    if not isinstance(part, dict):
        return False
    text = part.get("text")
    is_blank = isinstance(text, str) and part.get("type") in TEXTS and not (text.strip() or is_signed(part))
    return (is_blank or is_mark(part)) and not is_call(part)


def is_mark(part: Mapping[str, Any]) -> bool:
    """Whether a part is a cache mark in Bedrock's form."""
    return "cachePoint" in part and "type" not in part


def is_signed(part: Mapping[str, Any]) -> bool:
    """Whether a part has Gemini's signature of its thoughts, which Gemini needs back even on an empty text."""
    return any(part.get(name) for name in _SIGNATURES)


def calls(message: Message) -> list[Call]:
    """The calls of a message, in its order, without those whose results are in the same message."""
    if message.role != _ASSISTANT:
        return []
    found = tool_calls(message)
    legacy = legacy_call(message)
    if legacy is not None:
        found.append(legacy)
    if isinstance(message.content, list):
        known = {key for key in part_answers(message.content) if key and may_serve(key)}
        known |= {call.key for call in found if call.key}  # LangChain writes a call in both places
        found += [call for call in part_calls(message.content) if call and call.key not in known]
    return found


def tool_calls(message: Message) -> list[Call]:
    """The calls in the ``tool_calls`` of a message."""
    return [_tool_call(call, place) for place, call in enumerate(message.tool_calls or ())]


def _tool_call(call: Any, place: int) -> Call:
    inner = call.get("function")
    said = inner if isinstance(inner, dict) else call
    name = _text(said.get("name"))
    by_order = (BY_ORDER, f"{place}\n{name}") if name and not call.get("id") else None
    return Call(_key(OPENAI, call.get("id")) or by_order, name, _arguments(said))


def tool_of(key: Key) -> str:
    """The tool of a call that goes by order; of a result that does, the tool it names, or ""."""
    return key[1].partition("\n")[2]


def made_id(key: Key, seq: int | None) -> str:
    """An id for a call that goes by order, of a message at a position."""
    place, _newline, _tool = key[1].partition("\n")
    return f"made_{seq or 0}_{place}"


def legacy_call(message: Message) -> Call | None:
    """The ``function_call`` of a message, which came before ``tool_calls``."""
    call = (message.extra or {}).get(LEGACY)
    if not call:
        return None
    said = call if isinstance(call, dict) else {}
    return Call(_key(_BY_FUNCTION, said.get("name")), _text(said.get("name")), _arguments(said))


def part_calls(parts: Sequence[Any]) -> list[Call | None]:
    """For each part of a content, the call that it is, or None."""
    numbers: dict[str, int] = {}
    return [_part_call(part, numbers) for part in parts]


def caller(part: Mapping[str, Any]) -> Key | None:
    """The call that made a call: that of a program which Anthropic runs."""
    made_by = part.get("caller")
    return _key("server_tool_use", made_by.get("tool_id")) if isinstance(made_by, dict) else None


def is_call(part: Any) -> bool:
    """Whether a part of a content is a call."""
    return _part_call(part, {}) is not None


def is_result(part: Any) -> bool:
    """Whether a part of a content is the result of a call."""
    if not isinstance(part, dict) or part.get("type") == "text":
        return False
    return (
        _result_form(_kind(part)) is not None
        or isinstance(part.get("toolResult"), dict)
        or isinstance(part.get("tool_call_result"), dict)
        or _member(part, GEMINI_RESULTS) is not None
    )


def is_found(part: Mapping[str, Any]) -> bool:
    """Whether a part is the result of a tool that Anthropic runs."""
    return _kind(part) not in TYPED_RESULTS and _kind(part).endswith(_SERVER_RESULT)


def part_answers(parts: Sequence[Any]) -> list[Key | None]:
    """For each part of a content, the key of the call that it answers, or None."""
    numbers: dict[str, int] = {}
    return [_part_answer(part, numbers) for part in parts]


def may_serve(key: Key) -> bool:
    """Whether the result of a call may be in an assistant's message, as if the provider runs the tool."""
    return key[0] not in _OF_OTHERS


def _part_call(part: Any, numbers: dict[str, int]) -> Call | None:
    """The call that a part is, or None; ``numbers`` counts the earlier calls without an id, by name."""
    if not isinstance(part, dict) or part.get("type") == "text":
        return None
    kind = _kind(part)
    form = _call_form(part, kind)
    if form is not None:
        where, name = form
        key = _key(OPENAI if kind in _ID_OF_TOOL else kind, part.get(where))
        return Call(key, _text(part.get(name)), _arguments(part))
    use = part.get(BEDROCK)
    if isinstance(use, dict):
        return Call(_key(BEDROCK, use.get("toolUseId")), _text(use.get("name")), _arguments(use))
    made = part.get("tool_call")
    if isinstance(made, dict):
        return Call(_key(_HAYSTACK, made.get("id")), _text(made.get("tool_name")), _arguments(made))
    call = _member(part, GEMINI_CALLS)
    if call is None:
        return _undone(part, kind)
    return Call(_gemini_key(call, numbers), _text(call.get("name")), _arguments(call))


def _part_answer(part: Any, numbers: dict[str, int]) -> Key | None:
    if not is_result(part):
        return None
    form = _result_form(_kind(part))
    if form is not None:
        return _key(form[0], part.get(form[1]))
    if isinstance(part.get("toolResult"), dict):
        return _key(BEDROCK, part["toolResult"].get("toolUseId"))
    if isinstance(part.get("tool_call_result"), dict):
        origin = part["tool_call_result"].get("origin")
        return _key(_HAYSTACK, origin.get("id")) if isinstance(origin, dict) else None
    return _gemini_key(_member(part, GEMINI_RESULTS) or {}, numbers)


def _call_form(part: dict[str, Any], kind: str) -> tuple[str, str] | None:
    """The keys of the id and of the tool's name in a part that is a call; None if it is not one."""
    if kind in TYPED_CALLS:
        return TYPED_CALLS[kind]
    names_itself = kind.endswith(_RESPONSES) and kind != _RUN_BY_OPENAI and part.get("call_id")
    return ("call_id", "name") if kind == LEGACY or names_itself else None


def _result_form(kind: str) -> tuple[str, str] | None:
    """The form of the call that a result of this kind answers, and the key of the call's id."""
    if kind in TYPED_RESULTS:
        return TYPED_RESULTS[kind]
    if kind.endswith(_RESPONSES_RESULT):
        return kind.removesuffix(_RESPONSES_RESULT) + _RESPONSES, "call_id"
    return ("server_tool_use", "tool_use_id") if kind.endswith(_SERVER_RESULT) else None


def _undone(part: dict[str, Any], kind: str) -> Call | None:
    """The call that a part of a Vercel UI message is, while it has no result."""
    inner = part.get("toolInvocation")
    call = inner if isinstance(inner, dict) else part
    is_one = kind.startswith("tool-") or kind == "dynamic-tool"
    if not is_one or call.get("state") not in _UNDONE:
        return None
    name = _text(call.get("toolName")) or kind.removeprefix("tool-")
    return Call(_key(kind, call.get("toolCallId")), name, _arguments(call))


def _gemini_key(call: dict[str, Any], numbers: dict[str, int]) -> Key | None:
    """The key of a call by its id; without one, by its name and its number among the calls of that name."""
    by_id = _key(GEMINI, call.get("id"))
    name = _text(call.get("name"))
    if by_id is not None or not name:
        return by_id
    numbers[name] = numbers.get(name, 0) + 1
    return BY_NAME, f"{name}\n{numbers[name]}"


def _member(part: dict[str, Any], names: Iterable[str]) -> dict[str, Any] | None:
    for name in names:
        value = part.get(name)
        if isinstance(value, dict):
            return value
    return None


def answers(message: Message) -> Iterable[Key]:
    """The keys of the calls that a message answers."""
    if message.role in (_ASSISTANT, _SYSTEM):
        return ()
    key = answer(message)
    if key is not None:
        return (key,)
    found = part_answers(message.content) if isinstance(message.content, list) else ()
    return [key for key in found if key and key[0] not in _BY_ANTHROPIC]


def answer(message: Message) -> Key | None:
    """The key of the call that a whole message in the role tool or function answers."""
    if message.role not in (_TOOL, _FUNCTION):
        return None
    if message.tool_call_id:
        return OPENAI, message.tool_call_id
    if message.role == _FUNCTION:
        return _key(_BY_FUNCTION, message.name)
    if isinstance(message.content, list) and any(map(is_result, message.content)):
        return None
    return BY_ORDER, "\n" + (message.name or _text((message.extra or {}).get("tool_name")))


def with_text_id(item: dict[str, Any]) -> dict[str, Any]:
    """A call or a result with its id as text; imported data may have a number."""
    for name in ("toolUse", "toolResult"):
        if isinstance(item.get(name), dict):
            return _texted(item, name, _texted(item[name], "toolUseId"))
    if isinstance(item.get("tool_call_result"), dict):
        origin = item["tool_call_result"].get("origin")
        made = _texted(origin, "id") if isinstance(origin, dict) else origin
        return _texted(item, "tool_call_result", _texted(item["tool_call_result"], "origin", made))
    for name in (*GEMINI_CALLS, *GEMINI_RESULTS, "tool_call"):
        if isinstance(item.get(name), dict):
            return _texted(item, name, _texted(item[name], "id"))
    form = _result_form(_kind(item))
    if form is not None:
        return _texted(item, form[1])
    called = _call_form(item, _kind(item))
    return _texted(item, called[0] if called else "id")


def _texted(item: dict[str, Any], name: str, value: Any = None) -> dict[str, Any]:
    value = item.get(name) if value is None else value
    text = str(value) if isinstance(value, int) else value
    return item if text is item.get(name) else {**item, name: text}


def _key(form: str, identity: object) -> Key | None:
    """The key of a call; an id that is a number, as in imported data, becomes text."""
    if isinstance(identity, int) and not isinstance(identity, bool):
        identity = str(identity)
    return (form, identity) if isinstance(identity, str) and identity else None


def _arguments(call: dict[str, Any]) -> Any:
    return next((call[name] for name in ("arguments", "input", "args", "tool_kwargs") if name in call), None)


def _kind(part: Mapping[str, Any]) -> str:
    """What a part says it is; in forms that have no ``type``, behind a word for the key that says it."""
    kind = part.get("type")
    if isinstance(kind, str):
        return kind
    name = next((name for name in KINDS if isinstance(part.get(name), str)), None)
    if name is None or (part[name] == _RETRY and not part.get("tool_name")):
        return ""
    return f"{KINDS[name]} {part[name]}"


def _text(name: object) -> str:
    return name if isinstance(name, str) else ""
