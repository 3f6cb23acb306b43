"""Owns checks of whether a provider would accept a list of messages, by the rules that the providers publish.

Each takes the messages as they are sent, and raises ``Refused`` for the first one that the provider would refuse. They
check the order, the call and result pairs and the shape of messages; not models, size limits or the contents of images.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

Sent = Mapping[str, Any]
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_CHAT_ROLES = ("developer", "system", "user", "assistant", "tool", "function")
_INSTEAD_OF_CONTENT = ("tool_calls", "function_call", "refusal", "audio")
_THOUGHTS = ("thinking", "redacted_thinking")
_MOST_MARKS = 4
_SERVED = ("server_tool_use", "mcp_tool_use")
_BLOCKS = (
    "text",
    "image",
    "document",
    "video",
    "audio",
    "toolUse",
    "toolResult",
    "reasoningContent",
    "guardContent",
    "cachePoint",
    "citationsContent",
    "searchResult",
)
_GEMINI_PARTS = (
    "text",
    "functionCall",
    "functionResponse",
    "inlineData",
    "fileData",
    "executableCode",
    "codeExecutionResult",
)


class Refused(AssertionError):
    """A provider would not accept a list of messages.

    Attributes:
        index: the index of the refused message; the length of the list if a message is missing at its end.
        rule: the provider's rule that the message breaks.
    """

    def __init__(self, index: int, rule: str) -> None:
        super().__init__(f"messages[{index}]: {rule}")
        self.index = index
        self.rule = rule


def check_openai(messages: Sequence[Sent]) -> None:
    """Check messages for OpenAI's chat completions, in the form of ``Message.to_openai``.

    Raises:
        Refused: the API would refuse a message; the error names the first one.
    """
    _demand(len(messages) > 0, 0, "there is at least one message")
    open_calls: list[str] = []
    open_function: str | None = None
    for index, message in enumerate(messages):
        role = message.get("role")
        _demand(role in _CHAT_ROLES, index, f"the role is one of {', '.join(_CHAT_ROLES)}")
        if role == "tool":
            answered = message.get("tool_call_id")
            _demand(answered in open_calls, index, "a result follows the message with its call, and is the only one")
            open_calls.remove(str(answered))
        else:
            _demand(not open_calls, index, f"the results of {', '.join(open_calls)} follow their calls directly")
        if role == "function" or open_function is not None:
            rule = "a function_call and the result in its name follow each other directly"
            _demand(role == "function" and message.get("name") == open_function, index, rule)
        _check_chat_content(index, message)
        open_calls = _chat_calls(index, message) if role != "tool" else open_calls
        open_function = _function_call(index, message)
    _demand(not open_calls, len(messages), f"the results of {', '.join(open_calls)} follow their calls directly")
    _demand(open_function is None, len(messages), "the result of a function_call follows it directly")


def check_anthropic(messages: Sequence[Sent]) -> None:
    """Check messages for Anthropic's Messages API, which takes system messages in a parameter of their own.

    Raises:
        Refused: the API would refuse a message; the error names the first one.
    """
    _check_dialogue(messages)
    for index, message in enumerate(messages):
        content = message.get("content")
        if not isinstance(content, str):
            _demand(isinstance(content, list), index, "the content is text or a list of blocks")
            kinds = [block.get("type") for block in content or ()]
            _demand(all(isinstance(kind, str) for kind in kinds), index, "each block of the content has a type")
        _check_said(index, [content] if isinstance(content, str) else _texts(content))
        _demand(bool(content), index, "the content is not empty")
    _check_pairs(
        [_typed(message, "tool_use", "id") for message in messages],
        [_typed(message, "tool_result", "tool_use_id") for message in messages],
        messages,
    )
    for index, message in enumerate(messages):
        blocks = message.get("content")
        if isinstance(blocks, list):
            results = [block.get("type") == "tool_result" for block in blocks]
            _demand(sorted(results, reverse=True) == results, index, "results come before other blocks")
            thoughts = message.get("role") == "assistant" and blocks[-1].get("type") in _THOUGHTS
            _demand(not thoughts, index, "an assistant's content does not end with thoughts")
    _check_served(messages)
    _check_marks(messages)
    last = messages[-1].get("content")
    said = [last] if isinstance(last, str) else _texts((last or ())[-1:])
    ends = messages[-1].get("role") == "assistant" and any(str(text)[-1:].isspace() for text in said)
    _demand(not ends, len(messages) - 1, "an assistant's content that is the last does not end with white space")


def check_bedrock(messages: Sequence[Sent]) -> None:
    """Check messages for Amazon Bedrock's Converse, which takes system messages in a parameter of their own.

    Raises:
        Refused: the API would refuse a message; the error names the first one.
    """
    _check_dialogue(messages)
    for index, message in enumerate(messages):
        neighbour = index > 0 and messages[index - 1].get("role") == message.get("role")
        _demand(not neighbour, index, "the roles user and assistant alternate")
        content = message.get("content")
        _demand(isinstance(content, list) and len(content) > 0, index, "the content is a list with a block at least")
        for block in content or ():
            known = isinstance(block, Mapping) and len(block) == 1 and next(iter(block)) in _BLOCKS
            _demand(known, index, f"each block has one key, of {', '.join(_BLOCKS)}")
        _check_said(index, _texts(content))
    _check_marks(messages)
    _check_pairs(
        [_keyed(message, "toolUse") for message in messages],
        [_keyed(message, "toolResult") for message in messages],
        messages,
    )


def check_gemini(contents: Sequence[Sent]) -> None:
    """Check contents for Gemini's ``generateContent``, which takes the system instruction in its own parameter.

    Raises:
        Refused: the API would refuse a content; the error names the first one.
    """
    _demand(len(contents) > 0, 0, "there is at least one content")
    called: list[tuple[Any, Any]] = []
    for index, content in enumerate(contents):
        role, parts = content.get("role"), content.get("parts")
        _demand(role in ("user", "model"), index, "the role is user or model")
        _demand(role == "user" or index > 0, index, "the first content is a user's")
        _demand(isinstance(parts, list) and len(parts) > 0, index, "the parts are a list with a part at least")
        for part in parts or ():
            known = isinstance(part, Mapping) and sum(key in _GEMINI_PARTS for key in part) == 1
            _demand(known, index, f"each part has one key of {', '.join(_GEMINI_PARTS)}")
        calls, results = _named(parts, "functionCall"), _named(parts, "functionResponse")
        _demand(not calls or role == "model", index, "calls are a model's")
        behind = index == 0 or contents[index - 1].get("role") != "model"
        _demand(not calls or behind, index, "calls come behind a user's content")
        _demand(sorted(results) == sorted(called), index, "the results are those of the calls of the content before")
        called = calls
    _demand(not called, len(contents), "the results of calls follow them directly")


def _named(parts: Any, kind: str) -> list[tuple[str, str]]:
    """The name and the id of each call or result among parts; "" for none."""
    found = [part[kind] for part in parts if isinstance(part.get(kind), Mapping)]
    return [(str(each.get("name")), str(each.get("id") or "")) for each in found]


def _demand(holds: object, index: int, rule: str) -> None:
    if not holds:
        raise Refused(index, rule)


def _check_dialogue(messages: Sequence[Sent]) -> None:
    _demand(len(messages) > 0, 0, "there is at least one message")
    for index, message in enumerate(messages):
        _demand(message.get("role") in ("user", "assistant"), index, "the role is user or assistant")
    _demand(messages[0].get("role") == "user", 0, "the first message is a user's")


def _check_said(index: int, texts: Sequence[object]) -> None:
    for text in texts:
        _demand(isinstance(text, str) and text.strip(), index, "a text is not blank")


def _texts(blocks: Any) -> list[object]:
    return [block["text"] for block in blocks or () if isinstance(block, Mapping) and "text" in block]


def _check_pairs(calls: Sequence[Sequence[Any]], results: Sequence[Sequence[Any]], messages: Sequence[Sent]) -> None:
    """Check that the message after one with calls has exactly one result for each call."""
    for index, message in enumerate(messages):
        calling, called = message.get("role") == "assistant", calls[index - 1] if index else ()
        _demand(calling or not calls[index], index, "calls are an assistant's")
        _demand(not (calling and results[index]), index, "results are a user's")
        _demand(all(isinstance(call, str) and call for call in calls[index]), index, "each call has an id")
        _demand(len(set(calls[index])) == len(calls[index]), index, "no two calls of a message have the same id")
        missing = [call for call in called if call not in results[index]]
        _demand(not missing, index, f"the results of {', '.join(missing)} are in the message after their calls")
        foreign = [result for result in results[index] if result not in called]
        _demand(not foreign, index, "each result has its call in the message before")
        _demand(len(set(results[index])) == len(results[index]), index, "no two results are of the same call")
    _demand(not (calls and calls[-1]), len(messages), "the message with the results follows the calls")


def _check_served(messages: Sequence[Sent]) -> None:
    """Check that each call of a tool that Anthropic runs has a result after it, in the same message or the next."""
    served: list[Any] = []
    calling: set[Any] = set()
    for index, message in enumerate(messages):
        blocks = message["content"] if isinstance(message["content"], list) else []
        if message.get("role") == "user" and not _are_results(blocks):
            _demand(not served, index, "a tool that Anthropic runs has its result in an assistant's content")
        for block in blocks:
            kind = str(block.get("type"))
            if kind in _SERVED:
                _demand(message.get("role") == "assistant", index, "calls are an assistant's")
                served.append(block.get("id"))
            elif kind.endswith("_tool_result"):
                _demand(block.get("tool_use_id") in served, index, "each result has its call before it")
                served.remove(block.get("tool_use_id"))
            made_by = block.get("caller")
            if isinstance(made_by, Mapping) and "tool_id" in made_by:
                _demand(made_by["tool_id"] in served, index, "the program that makes a call is before it, and runs")
                calling.add(made_by["tool_id"])
    rule = "a tool that Anthropic runs has its result in an assistant's content, unless it waits for calls of its own"
    _demand(calling.issuperset(served), len(messages), rule)


def _are_results(blocks: Sequence[Any]) -> bool:
    return bool(blocks) and all(block.get("type") == "tool_result" for block in blocks)


def _check_marks(messages: Sequence[Sent]) -> None:
    """Check that no more parts are marks for the cache, or have one, than one request may have."""
    number = 0
    for index, message in enumerate(messages):
        number += _number_of_marks(message.get("content"))
        _demand(number <= _MOST_MARKS, index, f"at most {_MOST_MARKS} marks for the cache")


def _number_of_marks(content: Any) -> int:
    blocks = [block for block in content if isinstance(block, Mapping)] if isinstance(content, list) else []
    own = sum(bool(block.get("cache_control")) or "cachePoint" in block for block in blocks)
    return own + sum(_number_of_marks(block.get("content")) for block in blocks)


def _typed(message: Sent, kind: str, where: str) -> list[Any]:
    blocks = message.get("content")
    found = blocks if isinstance(blocks, list) else []
    return [block.get(where) for block in found if isinstance(block, Mapping) and block.get("type") == kind]


def _keyed(message: Sent, kind: str) -> list[Any]:
    return [block[kind].get("toolUseId") for block in message["content"] if kind in block]


def _check_chat_content(index: int, message: Sent) -> None:
    content, role = message.get("content"), message["role"]
    instead = role == "assistant" and any(message.get(name) for name in _INSTEAD_OF_CONTENT)
    usable = isinstance(content, str) or (isinstance(content, list) and len(content) > 0)
    _demand(usable or (content is None and instead), index, "the content is text or a list of parts")
    if isinstance(content, list):
        typed = all(isinstance(part, Mapping) and isinstance(part.get("type"), str) for part in content)
        _demand(typed, index, "each part of the content has a type")
    name = message.get("name")
    _demand(name is None or (isinstance(name, str) and _NAME.fullmatch(name)), index, f"a name is {_NAME.pattern}")


def _chat_calls(index: int, message: Sent) -> list[str]:
    """The ids of the calls of a message."""
    calls = message.get("tool_calls")
    if calls is None and "tool_calls" not in message:
        return []
    _demand(message["role"] == "assistant", index, "tool_calls are an assistant's")
    _demand(isinstance(calls, list) and len(calls) > 0, index, "tool_calls has a call at least")
    ids = [call.get("id") for call in calls or ()]
    _demand(all(isinstance(each, str) and each for each in ids), index, "each call has an id")
    _demand(len(set(ids)) == len(ids), index, "no two calls of a message have the same id")
    for call in calls or ():
        _demand(call.get("type") in ("function", "custom"), index, "the type of a call is function or custom")
        made = call.get(call["type"])
        named = isinstance(made, Mapping) and isinstance(made.get("name"), str)
        _demand(named, index, "a call names its function")
        given = isinstance(made, Mapping) and isinstance(made.get("arguments", made.get("input")), str)
        _demand(given, index, "the arguments of a call are text")
    return [str(each) for each in ids]


def _function_call(index: int, message: Sent) -> str | None:
    call = message.get("function_call")
    if call is None:
        return None
    _demand(message["role"] == "assistant", index, "a function_call is an assistant's")
    named = isinstance(call, Mapping) and isinstance(call.get("name"), str)
    _demand(named, index, "a function_call names its function")
    return str(call["name"])
