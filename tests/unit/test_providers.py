"""The checks of what a provider refuses: each rule by a list that breaks it, and lists that break none."""

from collections.abc import Callable
from typing import Any

import pytest

from chat_memory.testing.providers import Refused, check_anthropic, check_bedrock, check_gemini, check_openai

pytestmark = pytest.mark.once

Sent = dict[str, Any]


def call(*ids: Any, **fields: Any) -> Sent:
    calls = [{"id": each, "type": "function", "function": {"name": "f", "arguments": "{}"}} for each in ids]
    return {"role": "assistant", "content": None, "tool_calls": calls, **fields}


def tool(identity: str) -> Sent:
    return {"role": "tool", "tool_call_id": identity, "content": "r"}


def asks(content: Any = "q", **fields: Any) -> Sent:
    return {"role": "user", "content": content, **fields}


def replies(content: Any = "a", **fields: Any) -> Sent:
    return {"role": "assistant", "content": content, **fields}


def use(*ids: Any) -> Sent:
    return replies([{"type": "tool_use", "id": each, "name": "f", "input": {}} for each in ids])


def results(*ids: str) -> Sent:
    return asks([{"type": "tool_result", "tool_use_id": each, "content": "r"} for each in ids])


def used(*ids: Any) -> Sent:
    return replies([{"toolUse": {"toolUseId": each, "name": "f", "input": {}}} for each in ids])


def given_back(*ids: str) -> Sent:
    return asks([{"toolResult": {"toolUseId": each, "content": [{"text": "r"}]}} for each in ids])


def serves(*kinds: str) -> Sent:
    return replies([{"type": kind, "id": "s", "tool_use_id": "s"} for kind in kinds])


def contains(role: str, *parts: Any) -> Sent:
    return {"role": role, "parts": list(parts)}


def of_gemini(*names: str, kind: str = "functionCall") -> list[Sent]:
    return [{kind: {"name": name}} for name in names]


TEXT = {"type": "text", "text": "x"}
BLOCK = [{"text": "x"}]
Q = BLOCK[0]
GIVEN = of_gemini("f", kind="functionResponse")
CALLED = contains("model", *of_gemini("f"))
FUNCTION = replies(None, function_call={"name": "f", "arguments": "{}"})
ANSWER = {"role": "function", "name": "f", "content": "r"}
OBJECT_ARGUMENTS = [{"id": "a", "type": "function", "function": {"name": "f", "arguments": {}}}]


@pytest.mark.parametrize(
    ("check", "messages"),
    [
        (check_openai, [asks()]),
        (check_openai, [{"role": "developer", "content": "s"}, replies(), asks([TEXT])]),
        (check_openai, [asks(), call("a", "b"), tool("b"), tool("a"), replies(), call("a"), tool("a")]),
        (check_openai, [asks(), FUNCTION, ANSWER, replies(None, refusal="no")]),
        (check_anthropic, [asks(), use("a", "b"), results("a", "b"), replies(), use("a"), results("a")]),
        (check_anthropic, [asks(), asks([TEXT])]),
        (check_bedrock, [asks(BLOCK), used("a", "b"), given_back("b", "a"), replies(BLOCK), asks(BLOCK)]),
        (check_anthropic, [asks(), serves("server_tool_use"), serves("web_search_tool_result"), asks()]),
        (check_anthropic, [asks(), serves("mcp_tool_use", "mcp_tool_result")]),
        (
            check_gemini,
            [contains("user", Q), contains("model", *of_gemini("f", "f")), contains("user", *GIVEN, *GIVEN)],
        ),
        (check_gemini, [contains("user", Q), contains("model", Q), contains("model", Q), contains("user", Q)]),
    ],
)
def test_what_a_provider_accepts_passes(check: Callable[[list[Sent]], None], messages: list[Sent]) -> None:
    check(messages)


@pytest.mark.parametrize(
    ("check", "messages", "index", "rule"),
    [
        (check_openai, [], 0, "at least one"),
        (check_openai, [{"role": "bot", "content": "x"}], 0, "role"),
        (check_openai, [asks(), tool("a")], 1, "follows the message with its call"),
        (check_openai, [asks(), call("a"), tool("a"), tool("a")], 3, "the only one"),
        (check_openai, [asks(), call("a", "b"), tool("a"), asks()], 3, "b follow their calls"),
        (check_openai, [asks(), call("a")], 2, "a follow their calls"),
        (check_openai, [asks(), call("a"), replies(), tool("a")], 2, "a follow their calls"),
        (check_openai, [asks(), call("a", "a"), tool("a")], 1, "same id"),
        (check_openai, [asks(), call(7), tool("7")], 1, "an id"),
        (check_openai, [asks(), call()], 1, "the content"),
        (check_openai, [asks(), call(content="x")], 1, "a call at least"),
        (check_openai, [call("a", role="user", content="x")], 0, "an assistant's"),
        (check_openai, [asks(), replies(tool_calls=[{"id": "a", "type": "x"}])], 1, "type of a call"),
        (check_openai, [asks(), replies(tool_calls=[{"id": "a", "type": "function"}])], 1, "names its function"),
        (check_openai, [asks(), replies(tool_calls=OBJECT_ARGUMENTS)], 1, "arguments"),
        (check_openai, [asks(), replies(None)], 1, "the content"),
        (check_openai, [asks([])], 0, "the content"),
        (check_openai, [asks(["x"])], 0, "a type"),
        (check_openai, [asks(name="Ada Lovelace")], 0, "name"),
        (check_openai, [asks(), FUNCTION, asks()], 2, "function_call"),
        (check_openai, [asks(), FUNCTION], 2, "function_call"),
        (check_openai, [asks(), ANSWER], 1, "function_call"),
        (check_openai, [{**FUNCTION, "role": "user", "content": "x"}], 0, "an assistant's"),
        (check_openai, [asks(), replies(None, function_call={"x": 1})], 1, "names its function"),
        (check_anthropic, [], 0, "at least one"),
        (check_anthropic, [replies(), asks()], 0, "first message is a user's"),
        (check_anthropic, [{"role": "system", "content": "s"}, asks()], 0, "user or assistant"),
        (check_anthropic, [asks(" ")], 0, "blank"),
        (check_anthropic, [asks([])], 0, "empty"),
        (check_anthropic, [asks(None)], 0, "text or a list"),
        (check_anthropic, [asks(BLOCK)], 0, "a type"),
        (check_anthropic, [asks(), use("a"), asks()], 2, "a are in the message after"),
        (check_anthropic, [asks(), use("a")], 2, "follows the calls"),
        (check_anthropic, [asks(), use("a", "b"), results("a"), results("b")], 2, "b are in the message after"),
        (check_anthropic, [asks(), replies(), results("a")], 2, "call in the message before"),
        (check_anthropic, [results("a")], 0, "call in the message before"),
        (check_anthropic, [asks(), use("a"), results("a", "a")], 2, "of the same call"),
        (check_anthropic, [asks(), use("a", "a"), results("a")], 1, "same id"),
        (check_anthropic, [asks(), use(7), results("7")], 1, "an id"),
        (check_anthropic, [{**use("a"), "role": "user"}], 0, "an assistant's"),
        (check_anthropic, [asks(), {**results("a"), "role": "assistant"}], 1, "results are a user's"),
        (check_anthropic, [asks(), use("a"), asks([TEXT, *results("a")["content"]])], 2, "results come before"),
        (check_anthropic, [asks(), replies([{"type": "thinking", "thinking": "hm"}])], 1, "thoughts"),
        (check_anthropic, [asks(), replies("a\n")], 1, "white space"),
        (check_anthropic, [asks(), replies([{"type": "text", "text": "a "}])], 1, "white space"),
        (check_anthropic, [asks(), serves("server_tool_use"), asks()], 2, "Anthropic runs"),
        (check_anthropic, [asks(), serves("server_tool_use")], 2, "Anthropic runs"),
        (check_anthropic, [asks(), serves("web_search_tool_result")], 1, "call before it"),
        (check_anthropic, [{**serves("mcp_tool_use"), "role": "user"}], 0, "an assistant's"),
        (check_gemini, [], 0, "at least one"),
        (check_gemini, [contains("assistant", Q)], 0, "user or model"),
        (check_gemini, [contains("model", Q)], 0, "first content"),
        (check_gemini, [contains("user")], 0, "a part at least"),
        (check_gemini, [contains("user", {"type": "text"})], 0, "one key"),
        (check_gemini, [contains("user", *of_gemini("f"))], 0, "a model's"),
        (check_gemini, [contains("user", Q), contains("model", Q), CALLED], 2, "behind a user's"),
        (check_gemini, [contains("user", Q), CALLED], 2, "follow them"),
        (check_gemini, [contains("user", Q), CALLED, contains("user", Q)], 2, "those of the calls"),
        (check_gemini, [contains("user", Q), CALLED, contains("user", *GIVEN, *GIVEN)], 2, "those of the calls"),
        (check_gemini, [contains("user", *GIVEN)], 0, "those of the calls"),
        (check_bedrock, [replies(BLOCK), asks(BLOCK)], 0, "first message"),
        (check_bedrock, [asks(BLOCK), asks(BLOCK)], 1, "alternate"),
        (check_bedrock, [asks("text")], 0, "a list"),
        (check_bedrock, [asks([])], 0, "a list"),
        (check_bedrock, [asks([TEXT])], 0, "one key"),
        (check_bedrock, [asks([{"text": ""}])], 0, "blank"),
        (check_bedrock, [asks(BLOCK), used("a"), asks(BLOCK)], 2, "a are in the message after"),
        (check_bedrock, [asks(BLOCK), used("a"), given_back("a", "b")], 2, "call in the message before"),
        (check_bedrock, [asks(BLOCK), used("a")], 2, "follows the calls"),
    ],
)
def test_what_a_provider_refuses_is_named(
    check: Callable[[list[Sent]], None], messages: list[Sent], index: int, rule: str
) -> None:
    with pytest.raises(Refused) as refused:
        check(messages)
    assert refused.value.index == index
    assert rule in refused.value.rule
    assert str(refused.value) == f"messages[{index}]: {refused.value.rule}"
    assert isinstance(refused.value, AssertionError)
