"""Marks for a provider's cache, programs that call tools, calls without ids, and the parts of frameworks."""

from typing import Any

import pytest

from chat_memory import Message
from chat_memory.history.pairs import accepted, unanswered
from chat_memory.rules.calls import starts_turn
from chat_memory.rules.redaction import redacted
from tests.conversations import positions
from tests.histories import ANTHROPIC, BEDROCK, OPENAI, Form, accepts, calling, numbered, said

pytestmark = pytest.mark.once


MARK = {"cachePoint": {"type": "default"}}
"""As Bedrock has it: a part that says how much of the request its cache keeps."""


@pytest.mark.parametrize(
    ("form", "beside"),
    [(BEDROCK, MARK), (BEDROCK, {"text": "\n"}), (ANTHROPIC, {"type": "text", "text": ""})],
    ids=["a mark for the cache", "a blank text of bedrock", "a blank text of anthropic"],
)
def test_r3_what_says_nothing_beside_results_makes_no_question_of_them(form: Form, beside: dict[str, Any]) -> None:
    (results,) = form.results(["a"], "")
    marked = Message.user([*(results.content or ()), beside])
    asked = [Message.user(form.say("q")), form.call("", ["a"])]
    history = numbered([*asked, marked, Message.assistant(form.say("done"))])
    assert [message.seq for message in history if starts_turn(message)] == [1]
    shown = accepted(history)
    assert (positions(shown), accepts(form, shown)) == ([1, 2, 3, 4], True)
    assert shown[2].content == (marked.content if beside is MARK else results.content)
    foreign = said([Message.user(form.say("q")), marked, Message.assistant(form.say("done"))])
    assert (positions(foreign), accepts(form, foreign)) == ([1, 3], True)
    assert not starts_turn(redacted(marked))
    late = said([*asked, Message.user(form.say("p")), marked])
    assert accepts(form, late)


THOUGHT = {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}}


@pytest.mark.parametrize(
    ("parts", "left"),
    [
        ([MARK], []),
        ([THOUGHT, MARK], []),
        ([{"text": "let me see"}, MARK], [{"text": "let me see"}, MARK]),
        ([{"text": "let me see"}, THOUGHT, MARK], [{"text": "let me see"}]),
        ([THOUGHT, {"text": "let me see"}, MARK], [THOUGHT, {"text": "let me see"}, MARK]),
    ],
)
def test_r19_a_mark_for_the_cache_is_no_answer(parts: list[dict[str, Any]], left: list[dict[str, Any]]) -> None:
    """Nor are thoughts with one behind them, once the call that they led to is left out."""
    called = Message.assistant([*parts[:-1], *(BEDROCK.call("", ["a"]).content or ()), parts[-1]])
    shown = said([Message.user([{"text": "q"}]), called, Message.user([{"text": "p"}])])
    assert [message.content for message in shown if message.role == "assistant"] == ([left] if left else [])
    assert accepts(BEDROCK, shown)


@pytest.mark.parametrize("name", ["thoughtSignature", "thought_signature"])
def test_r13_a_signature_of_gemini_on_an_empty_text_comes_back(name: str) -> None:
    """A stream ends with such a part, and Gemini wants it as it was."""
    answer = Message.assistant([{"text": "hello"}, {"text": "", name: "c2lnbmVk"}])
    history = numbered([Message.user([{"text": "q"}]), answer, Message.user([{"text": "p"}])])
    assert accepted(history) == history


def test_r20_a_call_of_responses_without_a_result_has_its_id() -> None:
    """A worker that goes on names it; and no message in the role function, which answers by name, is its result."""
    call = {"type": "function_call", "call_id": "f", "name": "clock", "arguments": "{}"}
    history = numbered([Message.user("q"), Message.assistant([call]), Message("function", "r", name="f")])
    assert [(each.id, each.name) for each in unanswered(history)] == [("f", "clock")]
    assert positions(accepted(history)) == [1]


@pytest.mark.parametrize(
    ("part", "arguments"),
    [
        ({"type": "tool_call", "id": "a", "name": "f", "args": {"x": 1}}, {"x": 1}),
        ({"type": "invalid_tool_call", "id": "a", "name": "f", "args": "{x", "error": "no JSON"}, "{x"),
        ({"block_type": "tool_call", "tool_call_id": "a", "tool_name": "f", "tool_kwargs": {"x": 1}}, {"x": 1}),
    ],
    ids=["langchain", "langchain, no JSON", "llamaindex"],
)
def test_r1_parts_that_a_message_in_the_role_tool_answers(part: dict[str, Any], arguments: Any) -> None:
    asked = [Message.user("q"), Message.assistant([part])]
    answered = numbered([*asked, Message.tool("r", tool_call_id="a"), Message.user("p")])
    assert (positions(accepted(answered)), unanswered(answered)) == ([1, 2, 3, 4], [])
    broken = numbered([*asked, Message.user("p")])
    assert positions(accepted(broken)) == [1, 3]
    assert [(each.id, each.name, each.arguments) for each in unanswered(broken)] == [("a", "f", arguments)]
    assert accepted(answered)[1].content == [part]
    twice = Message.assistant([part], tool_calls=calling("a").tool_calls)
    shown = said([Message.user("q"), twice, Message.tool("r", tool_call_id="a")])
    assert (shown[1].content, len(shown[1].tool_calls or ())) == (None, 1)
    assert len(unanswered(numbered([twice]))) == 1


def test_texts_of_llamaindex_are_none_of_bedrock() -> None:
    texts = [Message.user([{"block_type": "text", "text": "q"}]), Message.user("p")]
    history = numbered(texts)
    assert accepted(history) == history


def unnamed(*tools: str) -> Message:
    """Calls without ids, as Ollama and the templates of transformers have them."""
    return Message.assistant("", tool_calls=[{"function": {"name": tool, "arguments": {}}} for tool in tools])


def tool_said(text: str, **named: str) -> Message:
    """The result of such a call, by its tool where one is named."""
    return Message.from_dict({"role": "tool", "content": text, **named})


@pytest.mark.parametrize("key", ["tool_name", "name"])
def test_r1_calls_without_ids_go_by_name_and_order(key: str) -> None:
    """In what is shown they have ids: OpenAI demands them, and Ollama takes them."""
    results = [
        tool_said("12", **{key: "clock"}),
        tool_said("rain", **{key: "weather"}),
        tool_said("13", **{key: "clock"}),
    ]
    asked = [Message.user("q"), unnamed("clock", "weather", "clock", "sun")]
    history = numbered([*asked, *results[:2], Message.user("p"), *results[2:], tool_said("14", **{key: "clock"})])
    shown = accepted(history)
    assert (positions(shown), accepts(OPENAI, shown)) == ([1, 2, 3, 4, 6, 5], True)
    made = {call["id"]: call["function"]["name"] for call in shown[1].tool_calls or ()}
    assert [made[message.tool_call_id or ""] for message in shown[2:5]] == ["clock", "weather", "clock"]
    assert accepted(shown) == shown
    assert [(call.seq, call.id, call.name) for call in unanswered(history)] == [(2, "", "sun")]


def test_r1_results_that_name_nothing_go_by_order() -> None:
    history = numbered(
        [Message.user("q"), unnamed("clock", "weather"), tool_said("12"), tool_said("rain"), tool_said("more")]
    )
    shown = accepted(history)
    assert (positions(shown), accepts(OPENAI, shown)) == ([1, 2, 3, 4], True)
    assert [message.tool_call_id for message in shown[2:]] == [call["id"] for call in shown[1].tool_calls or ()]
    named = numbered([Message.user("q"), calling("a"), tool_said("12"), Message.assistant("done")])
    assert (positions(accepted(named)), len(unanswered(named))) == ([1, 4], 1)


@pytest.mark.parametrize("key", ["tool_name", "name"])
def test_r1_a_result_without_an_id_answers_the_first_open_call_of_the_tool_it_names(key: str) -> None:
    """Ollama's calls have ids by now, and its results name the tool."""
    asked = [Message.user("q"), calling("a", "b", "c"), tool_said("13", tool_call_id="b")]
    history = numbered([*asked, *(tool_said(text, **{key: "clock"}) for text in ("12", "14", "15"))])
    shown = accepted(history)
    assert (positions(shown), accepts(OPENAI, shown)) == ([1, 2, 3, 4, 5], True)
    assert [message.tool_call_id for message in shown[2:]] == ["b", "a", "c"]
    assert unanswered(history) == []
    assert accepted(shown) == shown
    other = numbered([Message.user("q"), calling("a"), tool_said("12", **{key: "weather"}), Message.assistant("done")])
    assert positions(accepted(other)) == [1, 4]


def test_r10_calls_without_ids_that_come_again_have_their_own_results() -> None:
    turn = [Message.user("q"), unnamed("clock"), tool_said("12", tool_name="clock"), Message.assistant("noon")]
    history = numbered([*turn, turn[0], unnamed("clock"), *turn, tool_said("late", tool_name="clock")])
    shown = accepted(history)
    assert (positions(shown), accepts(OPENAI, shown)) == ([1, 2, 3, 4, 5, 7, 8, 9, 10], True)
    assert [call.seq for call in unanswered(history)] == [6]


def with_mark(form: Form, part: dict[str, Any]) -> list[dict[str, Any]]:
    """A part with a mark for the provider's cache, as an agent has it at the end of each request."""
    return [part, MARK] if form is BEDROCK else [{**part, "cache_control": {"type": "ephemeral"}}]


@pytest.mark.parametrize("form", [ANTHROPIC, BEDROCK], ids=lambda form: form.name)
def test_no_more_marks_for_the_cache_are_shown_than_a_provider_takes(form: Form) -> None:
    """The first, and the newest three; what is marked stays."""
    text = {"text": "q"} if form is BEDROCK else {"type": "text", "text": "q"}
    (results,) = form.results(["a"], "")
    turn = [
        Message.user(with_mark(form, text)),
        form.call("", ["a"]),
        Message.user(with_mark(form, (results.content or [{}])[0])),  # type: ignore[arg-type]
        Message.assistant(form.say("done")),
    ]
    history = numbered(turn * 4)
    assert not accepts(form, history)
    shown = accepted(history)
    assert (positions(shown), accepts(form, shown)) == (list(range(1, 17)), True)
    sign = "cachePoint" if form is BEDROCK else "cache_control"
    assert [message.seq for message in shown if sign in repr(message.content)] == [1, 11, 13, 15]
    assert accepted(shown) == shown
    within = [
        {
            "type": "tool_result",
            "tool_use_id": "a",
            "content": [*with_mark(ANTHROPIC, {"type": "text", "text": "r"})] * 6,
        }
    ]
    many = numbered([Message.user("q"), ANTHROPIC.call("", ["a"]), Message.user(within)])
    assert accepts(ANTHROPIC, accepted(many))
    assert repr(accepted(many)).count("cache_control") == 4


PROGRAM = {"type": "server_tool_use", "id": "s1", "name": "code_execution", "input": {}}
PROGRAM_ENDED = {"type": "code_execution_tool_result", "tool_use_id": "s1", "content": {}}


def made_by_program(identity: str) -> dict[str, Any]:
    """A call of the caller's tool that a program makes which Anthropic runs."""
    caller = {"type": "code_execution_20250825", "tool_id": "s1"}
    return {"type": "tool_use", "id": identity, "name": "f", "input": {}, "caller": caller}


def test_r1_a_program_that_calls_tools_stays_while_it_runs_and_when_it_has_ended() -> None:
    """Its result comes behind those of its calls, and Anthropic goes on with it from their results."""
    asked = [Message.user("q"), Message.assistant([PROGRAM, made_by_program("a")]), *ANTHROPIC.results(["a"], "")]
    again = [Message.assistant([made_by_program("b")]), *ANTHROPIC.results(["b"], "")]
    ended = [Message.assistant([PROGRAM_ENDED, {"type": "text", "text": "done"}])]
    for history in (numbered(asked), numbered([*asked, *again]), numbered([*asked, *again, *ended])):
        assert accepted(history) == history
        assert accepts(ANTHROPIC, history)
    left = said(asked[:2])
    assert [message.content for message in left] == ["q"]
    assert not accepts(ANTHROPIC, numbered([*asked, Message.user("p")]))
    alone = numbered([Message.user("q"), Message.assistant([PROGRAM]), *ANTHROPIC.results(["a"], "")])
    assert positions(accepted(alone)) == [1]
