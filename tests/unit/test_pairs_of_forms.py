"""Calls and results in the forms of further providers, and those that an assistant's message has of itself."""

from typing import Any

import msgspec
import pytest

from chat_memory import Message
from chat_memory.history.pairs import accepted, unanswered
from chat_memory.records.message import text_of
from chat_memory.rules.calls import starts_turn
from tests.conversations import positions
from tests.histories import ANTHROPIC, BEDROCK, GEMINI, OPENAI, accepts, calling, numbered, said

pytestmark = pytest.mark.once


def of_responses(kind: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A call and its result among the items of OpenAI's Responses."""
    return (
        {"type": kind, "call_id": "a", "name": "f", "input": "x"},
        {"type": f"{kind}_output", "call_id": "a", "output": "r"},
    )


PAIRS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    kind: of_responses(kind)
    for kind in ("function_call", "custom_tool_call", "computer_call", "local_shell_call", "apply_patch_call")
} | {
    "gemini": ({"functionCall": {"name": "f", "args": {}}}, {"functionResponse": {"name": "f", "response": {}}}),
    "gemini by id": (
        {"functionCall": {"id": 7, "name": "f", "args": {}}, "thoughtSignature": "s"},
        {"functionResponse": {"id": "7", "name": "f", "response": {}}},
    ),
    "gemini in python": (
        {"function_call": {"name": "f", "args": {}}},
        {"function_response": {"name": "f", "response": {}}},
    ),
    "pydantic-ai": (
        {"part_kind": "tool-call", "tool_name": "f", "args": {}, "tool_call_id": "a"},
        {"part_kind": "tool-return", "tool_name": "f", "content": "r", "tool_call_id": "a"},
    ),
    "pydantic-ai, a failure": (
        {"part_kind": "tool-call", "tool_name": "f", "args": {}, "tool_call_id": "a"},
        {"part_kind": "retry-prompt", "tool_name": "f", "content": "r", "tool_call_id": "a"},
    ),
    "haystack": (
        {"tool_call": {"tool_name": "f", "arguments": {}, "id": "a"}},
        {"tool_call_result": {"result": "r", "origin": {"tool_name": "f", "arguments": {}, "id": "a"}, "error": False}},
    ),
    "semantic kernel": (
        {"content_type": "function_call", "id": "a", "name": "f", "arguments": "{}"},
        {"content_type": "function_result", "id": "a", "name": "f", "result": "r"},
    ),
    "responses, a permission": (
        {"type": "mcp_approval_request", "id": "a", "name": "f", "arguments": "{}", "server_label": "s"},
        {"type": "mcp_approval_response", "approval_request_id": "a", "approve": True},
    ),
}


QUESTIONS = ({"text": "q1"}, {"text": "q2"})
"""The questions where the model's form wants parts."""


@pytest.mark.parametrize("name", PAIRS)
def test_r1_r3_r20_calls_and_results_of_other_providers_are_pairs(name: str) -> None:
    call, result = PAIRS[name]
    asked = [Message.user("q1"), Message.assistant([call])]
    history = numbered([*asked, Message.user([result]), Message.assistant("done"), Message.user("q2")])
    assert [message.seq for message in history if starts_turn(message)] == [1, 5]
    assert (positions(accepted(history)), unanswered(history)) == ([1, 2, 3, 4, 5], [])
    interrupted = numbered([*asked, Message.user("q2")])
    assert positions(accepted(interrupted)) == [1, 3]
    assert [(each.seq, each.name) for each in unanswered(interrupted)] == [(2, "f")]
    late = said([*asked, Message.user("q2"), Message.user([result, result])])
    parts = [part for message in late if isinstance(message.content, list) for part in message.content]
    assert [part for part in parts if part not in QUESTIONS] == [with_texts(call), with_texts(result)]
    assert positions(said([Message.user("q1"), Message.user([result]), Message.assistant("done")])) == [1, 3]


def with_texts(part: dict[str, Any]) -> dict[str, Any]:
    """The part as it is shown: with its id as text."""
    inner = part.get("functionCall")
    return {**part, "functionCall": {**inner, "id": "7"}} if inner and "id" in inner else part


def test_calls_of_gemini_in_one_name_are_paired_in_their_order() -> None:
    calls = [{"functionCall": {"name": "f", "args": {"city": city}}} for city in ("Oslo", "Rome", "Bern")]
    results = [{"functionResponse": {"name": "f", "response": {"city": city}}} for city in ("Oslo", "Rome")]
    shown = said([Message.user([{"text": "q"}]), Message.assistant(calls), Message.user(results)])
    assert [message.content for message in shown[1:]] == [calls[:2], results]
    assert accepts(GEMINI, shown)


UNDONE: dict[str, dict[str, Any]] = {
    "langchain's, run by a provider": {"type": "server_tool_call", "id": "a", "name": "f", "args": {}},
    "anthropic's own": {"type": "server_tool_use", "id": "a", "name": "f", "input": {}},
    "anthropic's, by MCP": {"type": "mcp_tool_use", "id": "a", "name": "f", "server_name": "s", "input": {}},
    "vercel's page": {"type": "tool-f", "toolCallId": "a", "state": "input-available", "input": {}},
    "vercel's page, of any tool": {
        "type": "dynamic-tool",
        "toolName": "f",
        "toolCallId": "a",
        "state": "input-streaming",
    },
    "vercel's page, before that": {
        "type": "tool-invocation",
        "toolInvocation": {"toolCallId": "a", "toolName": "f", "state": "call", "args": {}},
    },
}


@pytest.mark.parametrize("name", UNDONE)
def test_r1_a_call_whose_result_would_be_the_assistants_own_is_left_out_without_it(name: str) -> None:
    words = {"type": "text", "text": "so"}
    asked = numbered([Message.user("q1"), Message.assistant([words, UNDONE[name]])])
    history = [*asked, *(msgspec.structs.replace(each, seq=3) for each in numbered([Message.user("q2")]))]
    assert [message.content for message in accepted(history)] == ["q1", [words], "q2"]
    assert accepts(ANTHROPIC, accepted(history))
    assert [(each.seq, each.id, each.name) for each in unanswered(history)] == [(2, "a", "f")]
    assert accepted(asked, pending=True) == asked


@pytest.mark.parametrize(
    "part",
    [
        {"type": "tool-f", "toolCallId": "a", "state": "output-available", "input": {}, "output": {}},
        {"type": "tool-f", "toolCallId": "a", "state": "output-error", "input": {}, "errorText": "x"},
        {"type": "web_search_call", "id": "w", "status": "completed"},
        {"type": "tool_search_call", "call_id": None, "execution": "server"},
    ],
    ids=repr,
)
def test_a_call_that_has_its_result_in_itself_stays(part: dict[str, Any]) -> None:
    history = numbered([Message.user("q1"), Message.assistant([part]), Message.user("q2")])
    assert (accepted(history), unanswered(history)) == (history, [])


def test_what_a_provider_went_on_with_in_the_next_message_stays() -> None:
    """As Anthropic does after a pause."""
    use = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    found = {"type": "web_search_tool_result", "tool_use_id": "s", "content": []}
    text = {"type": "text", "text": "found"}
    paused = [Message.user("q1"), Message.assistant([use]), Message.system("note"), Message.assistant([found, text])]
    history = numbered(paused)
    assert accepted(history) == history
    assert accepts(ANTHROPIC, history)
    assert unanswered(history) == []
    cut = said([paused[1], Message.user("q2"), paused[3]])
    assert [message.content for message in cut] == ["q2", [text]]
    twice = said([paused[0], Message.assistant([use, found, found, text])])
    assert twice[1].content == [use, found, text]


@pytest.mark.parametrize("space", [" ", "\n\n", "\u2003"], ids=repr)
def test_an_answer_that_ends_what_is_shown_has_no_white_space_there(space: str) -> None:
    """As one that broke off does; before a question it stays."""
    for form in (OPENAI, ANTHROPIC, BEDROCK, GEMINI):
        for said_so in ("It is" + space, [{"type": "text", "text": "It is" + space}]):
            answer = Message.assistant(said_so if form in (OPENAI, ANTHROPIC) else [{"text": "It is" + space}])
            asked = Message.user(form.say("q"))
            assert text_of(said([asked, answer, Message.system("note")])[1]) == "It is"
            assert accepts(form, said([asked, answer]))
            assert said([asked, answer, asked])[1].content == answer.content
            assert accepted(numbered([asked, answer]), pending=True)[1].content == answer.content


def test_an_assistants_own_results_in_a_form_of_a_user_are_left_out() -> None:
    """Anthropic and Bedrock take results from users alone."""
    for form in (ANTHROPIC, BEDROCK, GEMINI):
        called, result = form.call("so", ["a"]), form.results(["a"], "")[0]
        own = Message.assistant([*(called.content or ()), *(result.content or ())])
        shown = said([Message.user(form.say("q1")), own, Message.user(form.say("q2"))])
        assert accepts(form, shown)
        assert len(shown[1].content or ()) == 1


@pytest.mark.parametrize(
    ("call", "result"), [("mcp_tool_use", "mcp_tool_result"), ("server_tool_use", "web_search_tool_result")]
)
def test_what_anthropic_runs_itself_no_user_answers(call: str, result: str) -> None:
    use = {"type": call, "id": "s", "name": "f", "input": {}}
    asked = [{"type": result, "tool_use_id": "s", "content": []}, {"type": "text", "text": "and?"}]
    shown = said([Message.user("q"), Message.assistant([use]), Message.user(asked), Message.assistant("done")])
    assert [(message.seq, message.content) for message in shown] == [(1, "q"), (3, asked[1:]), (4, "done")]
    assert accepts(ANTHROPIC, shown)


def test_of_both_kinds_of_calls_in_one_message_the_newer_is_shown() -> None:
    """Some write a call twice; OpenAI wants the results of each kind right behind the message."""
    legacy = {"function_call": {"name": "clock", "arguments": "{}"}}
    both, old, new = (
        calling("a", extra=legacy),
        Message("function", "r", name="clock"),
        Message.tool("r", tool_call_id="a"),
    )
    for results, seqs, kept in (
        ([old, new], [1, 2, 4, 5], "tool_calls"),
        ([new, old], [1, 2, 3, 5], "tool_calls"),
        ([new], [1, 2, 3, 4], "tool_calls"),
        ([old], [1, 2, 3, 4], "function_call"),
    ):
        shown = said([Message.user("q"), both, *results, Message.user("q2")])
        assert positions(shown) == seqs
        assert kept in shown[1].to_openai()
        assert accepts(OPENAI, shown)


def test_a_result_of_a_call_with_an_id_is_sent_in_its_role() -> None:
    shown = said([Message.user("q"), calling("a"), Message("function", "r", name="clock", tool_call_id="a")])
    assert positions(shown) == [1, 2, 3]
    assert accepts(OPENAI, shown)


@pytest.mark.parametrize("call", [{}, {"name": ""}, {"name": None, "arguments": "{}"}], ids=repr)
def test_a_function_call_that_names_nothing_is_not_sent(call: dict[str, Any]) -> None:
    answer = Message.assistant(extra={"function_call": call, "refusal": None})
    assert answer.to_openai() == {"role": "assistant", "content": "", "refusal": None}
    assert accepts(OPENAI, said([Message.user("q"), Message.assistant("words", extra={"function_call": call})]))
