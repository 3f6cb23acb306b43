"""What a redaction leaves of a message: nothing that was said, and what providers need of calls and results."""

import json
from typing import Any

import msgspec
import pytest

from chat_memory import Message
from chat_memory.rules.calls import starts_turn
from chat_memory.rules.limits import limits
from chat_memory.rules.message import check_message
from chat_memory.rules.redaction import PLACEHOLDER, redacted

pytestmark = pytest.mark.once

SECRET = "hunter2"
OPENAI = {"id": "c1", "type": "function", "index": 0, "function": {"name": "find", "arguments": f'{{"q": "{SECRET}"}}'}}
CUSTOM = {"id": "c2", "type": "custom", "custom": {"name": "run", "input": SECRET}}
LANGCHAIN = {"name": "find", "args": {"q": SECRET}, "id": "c3", "type": "tool_call"}
IN_OBJECTS = {"id": "c4", "function": {"name": "find", "arguments": {"q": SECRET}}, "note": SECRET}
CALLS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (OPENAI, OPENAI | {"function": {"name": "find", "arguments": "{}"}}),
    (CUSTOM, CUSTOM | {"custom": {"name": "run", "input": ""}}),
    (LANGCHAIN, LANGCHAIN | {"args": {}}),
    (IN_OBJECTS, {"id": "c4", "function": {"name": "find", "arguments": {}}}),
]
ANTHROPIC_CALL = {"type": "tool_use", "id": "t1", "name": "find", "input": {"q": SECRET}}
ANTHROPIC_RESULT = {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": SECRET}]}
BEDROCK_CALL = {"toolUse": {"toolUseId": "t1", "name": "find", "input": {"q": SECRET}}}
BEDROCK_RESULT = {"toolResult": {"toolUseId": "t1", "content": [{"text": SECRET}], "status": "success"}}
VERCEL_CALL = {"type": "tool-call", "toolCallId": "t1", "toolName": "find", "input": {"q": SECRET}}
VERCEL_RESULT = {
    "type": "tool-result",
    "toolCallId": "t1",
    "toolName": "find",
    "output": {"type": "json", "value": {"a": SECRET}},
}
RESPONSES_CALL = {"type": "function_call", "call_id": "t1", "name": "find", "arguments": f'"{SECRET}"'}
RESPONSES_RESULT = {"type": "function_call_output", "call_id": "t1", "output": SECRET}
TEXT = {"type": "text", "text": SECRET}
BLANK = {"type": "text", "text": PLACEHOLDER}
IMAGE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{SECRET}"}}
PARTS: list[tuple[list[Any], Any]] = [
    ([TEXT, IMAGE], PLACEHOLDER),
    ([], PLACEHOLDER),
    ([{"text": SECRET}], [{"text": PLACEHOLDER}]),
    ([ANTHROPIC_CALL], [ANTHROPIC_CALL | {"input": {}}]),
    ([TEXT, IMAGE, ANTHROPIC_CALL, TEXT], [BLANK, ANTHROPIC_CALL | {"input": {}}]),
    ([ANTHROPIC_RESULT], [ANTHROPIC_RESULT | {"content": PLACEHOLDER}]),
    ([ANTHROPIC_RESULT, IMAGE, TEXT], [ANTHROPIC_RESULT | {"content": PLACEHOLDER}, BLANK]),
    ([{"type": "tool_result", "tool_use_id": "t1"}], [{"type": "tool_result", "tool_use_id": "t1"}]),
    (
        [{"text": SECRET}, BEDROCK_CALL],
        [{"text": PLACEHOLDER}, {"toolUse": {"toolUseId": "t1", "name": "find", "input": {}}}],
    ),
    ([BEDROCK_RESULT], [{"toolResult": {"toolUseId": "t1", "content": [{"text": PLACEHOLDER}]}}]),
    ([VERCEL_CALL], [VERCEL_CALL | {"input": {}}]),
    ([VERCEL_RESULT], [VERCEL_RESULT | {"output": {"type": "text", "value": PLACEHOLDER}}]),
    (
        [{"type": "output_text", "text": SECRET}, RESPONSES_CALL],
        [{"type": "output_text", "text": PLACEHOLDER}, RESPONSES_CALL | {"arguments": "{}"}],
    ),
    ([RESPONSES_RESULT], [RESPONSES_RESULT | {"output": PLACEHOLDER}]),
    (
        [{"text": SECRET}, {"functionCall": {"name": "f", "args": {"q": SECRET}}, "thoughtSignature": SECRET}],
        [{"text": PLACEHOLDER}, {"functionCall": {"name": "f", "args": {}}}],
    ),
    (
        [{"functionResponse": {"id": "t1", "name": "f", "response": {"x": SECRET}}}],
        [{"functionResponse": {"id": "t1", "name": "f", "response": {"output": PLACEHOLDER}}}],
    ),
    (
        [{"type": "custom_tool_call", "call_id": "t1", "name": "f", "input": SECRET}],
        [{"type": "custom_tool_call", "call_id": "t1", "name": "f", "input": ""}],
    ),
    (
        [{"type": "custom_tool_call_output", "call_id": "t1", "output": SECRET}],
        [{"type": "custom_tool_call_output", "call_id": "t1", "output": PLACEHOLDER}],
    ),
    (
        [
            {"type": "server_tool_use", "id": "t1", "name": "web_search", "input": {"q": SECRET}},
            {"type": "web_search_tool_result", "tool_use_id": "t1", "content": [{"title": SECRET}]},
        ],
        [
            {"type": "server_tool_use", "id": "t1", "name": "web_search", "input": {}},
            {"type": "web_search_tool_result", "tool_use_id": "t1", "content": []},
        ],
    ),
    (
        [{"part_kind": "tool-return", "tool_name": "f", "content": SECRET, "tool_call_id": "t1"}],
        [{"part_kind": "tool-return", "tool_name": "f", "content": PLACEHOLDER, "tool_call_id": "t1"}],
    ),
    (
        [{"tool_call": {"tool_name": "f", "arguments": {"q": SECRET}, "id": "t1", "extra": SECRET}}],
        [{"tool_call": {"tool_name": "f", "arguments": {}, "id": "t1"}}],
    ),
    (
        [
            {
                "tool_call_result": {
                    "result": SECRET,
                    "origin": {"tool_name": "f", "arguments": {"q": SECRET}, "id": "t1"},
                    "error": False,
                }
            }
        ],
        [
            {
                "tool_call_result": {
                    "result": PLACEHOLDER,
                    "error": False,
                    "origin": {"tool_name": "f", "arguments": {}, "id": "t1"},
                }
            }
        ],
    ),
    (
        [{"content_type": "function_result", "id": "t1", "name": "f", "result": SECRET, "error": SECRET}],
        [{"content_type": "function_result", "id": "t1", "name": "f", "result": PLACEHOLDER}],
    ),
    (
        [{"block_type": "tool_call", "tool_call_id": "t1", "tool_name": "f", "tool_kwargs": {"q": SECRET}}],
        [{"block_type": "tool_call", "tool_call_id": "t1", "tool_name": "f", "tool_kwargs": {}}],
    ),
    (
        [{"type": "mcp_tool_use", "id": "t1", "name": "f", "server_name": "s", "input": {"q": SECRET}}],
        [{"type": "mcp_tool_use", "id": "t1", "name": "f", "server_name": "s", "input": {}}],
    ),
    (
        [{"type": "mcp_approval_response", "approval_request_id": "t1", "approve": True, "reason": SECRET}],
        [{"type": "mcp_approval_response", "approval_request_id": "t1", "approve": True}],
    ),
    (
        [BEDROCK_RESULT, {"cachePoint": {"type": "default"}}],
        [{"toolResult": {"toolUseId": "t1", "content": [{"text": PLACEHOLDER}]}}],
    ),
    (
        [{"type": "tool-invocation", "toolInvocation": {"toolCallId": "t1", "state": "call", "args": {"q": SECRET}}}],
        [{"type": "tool-invocation", "toolInvocation": {"toolCallId": "t1", "state": "call", "args": {}}}],
    ),
]


def left(message: Message) -> Message:
    """What is left, which may be stored and has nothing of what was said."""
    found = redacted(message)
    check_message(found, limits())
    assert SECRET not in json.dumps(found.to_dict(), default=str)
    assert (found.role, found.id, found.seq, found.state) == (message.role, message.id, message.seq, "redacted")
    assert redacted(found) == found
    assert starts_turn(found) == starts_turn(message)
    return found


@pytest.mark.parametrize(("call", "kept"), CALLS)
def test_a_call_keeps_its_id_and_name(call: dict[str, Any], kept: dict[str, Any]) -> None:
    found = left(Message.assistant(SECRET, tool_calls=[call], id="m", seq=3))
    assert (found.tool_calls, found.content) == ([kept], PLACEHOLDER)
    assert left(Message.assistant(tool_calls=[call], content_absent=True)).content_absent


@pytest.mark.parametrize(("parts", "kept"), PARTS)
@pytest.mark.parametrize("role", ["user", "assistant"])
def test_parts_that_are_calls_and_results_stay_whole(role: str, parts: list[Any], kept: Any) -> None:
    assert left(Message(role, parts, id="m")).content == kept


@pytest.mark.parametrize("role", ["system", "user", "assistant"])
def test_the_name_of_a_person_goes(role: str) -> None:
    found = left(Message(role, SECRET, name=SECRET, metadata={"a": SECRET}, extra={"refusal": SECRET}))
    assert (found.content, found.name, found.metadata, found.extra) == (PLACEHOLDER, None, None, None)


def test_a_result_keeps_the_name_of_its_tool() -> None:
    found = left(Message.tool(SECRET, tool_call_id="c1", name="find"))
    assert (found.content, found.tool_call_id, found.name) == (PLACEHOLDER, "c1", "find")
    assert left(Message("function", SECRET, name="find")).to_openai() == {
        "role": "function",
        "content": PLACEHOLDER,
        "name": "find",
    }


def test_a_result_of_ollama_keeps_the_name_of_its_tool() -> None:
    """By which it belongs to its call; nobody else's message has one."""
    said = {"content": SECRET, "tool_name": "clock", "thinking": SECRET}
    assert left(Message.from_dict({"role": "tool", **said})).extra == {"tool_name": "clock"}
    assert left(Message.from_dict({"role": "user", **said, "tool_name": SECRET})).extra is None


def test_a_legacy_call_keeps_its_name() -> None:
    extra = {"function_call": {"name": "find", "arguments": SECRET}, "audio": {"id": SECRET}}
    found = left(Message.assistant(None, extra=extra))
    assert found.extra == {"function_call": {"name": "find", "arguments": "{}"}}
    assert found.content == PLACEHOLDER


def test_the_newer_role_stays() -> None:
    found = left(Message.from_dict({"role": "developer", "content": SECRET, "x": SECRET}))
    assert found.to_dict() == {"role": "developer", "content": PLACEHOLDER, "state": "redacted"}


def test_what_has_no_content_is_given_one_where_nothing_else_is_left() -> None:
    assert left(Message.assistant(None, content_absent=True)).content == PLACEHOLDER
    assert not left(Message.assistant(None, content_absent=True)).content_absent
    assert left(Message.assistant("")).content == PLACEHOLDER


def test_a_redacted_message_comes_back_as_it_is() -> None:
    found = left(Message.user(SECRET, id="m"))
    assert Message.from_dict(found.to_dict()) == msgspec.structs.replace(found)
