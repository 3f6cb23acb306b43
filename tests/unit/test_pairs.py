"""What a provider is shown of calls and results: each pair together, and nothing that it refuses."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings

from chat_memory import Message
from chat_memory.history.pairs import accepted, unanswered
from chat_memory.rules.calls import starts_turn
from tests.conversations import positions
from tests.histories import (
    ANTHROPIC,
    BEDROCK,
    FORMS,
    GEMINI,
    LEGACY,
    OPENAI,
    Form,
    accepts,
    calling,
    histories_of_forms,
    numbered,
    said,
)

pytestmark = pytest.mark.once
by_form = pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
with_parallel_calls = pytest.mark.parametrize("form", [OPENAI, ANTHROPIC, BEDROCK, GEMINI], ids=lambda form: form.name)


def from_a_question(history: Sequence[Message]) -> list[Message]:
    """As a window begins."""
    first = next((n for n, message in enumerate(history) if starts_turn(message)), len(history))
    return [message for n, message in enumerate(history) if n >= first or message.role == "system"]


def occurrences(messages: Sequence[Message], identity: str) -> int:
    """How often an id is in what the messages hold."""
    return repr([message.to_openai() for message in messages]).count(repr(identity))


@settings(max_examples=400)
@given(histories_of_forms)
def test_what_is_shown_is_accepted(drawn: tuple[Form, list[Message]]) -> None:
    form, history = drawn
    window = from_a_question(history)
    shown = accepted(window)
    assert accepts(form, shown)
    questions = [message.seq for message in window if starts_turn(message)]
    there = {message.seq for message in shown if message.role == "user"}
    assert form in (BEDROCK, GEMINI) or there.issuperset(questions)
    assert not questions or questions[-1] in there
    assert sum(message.tokens or 0 for message in shown) <= sum(message.tokens or 0 for message in window)
    assert {message.seq for message in shown} <= {message.seq for message in window}


@settings(max_examples=200)
@given(histories_of_forms)
def test_what_is_shown_once_is_shown_again_as_it_is(drawn: tuple[Form, list[Message]]) -> None:
    _form, history = drawn
    once = accepted(history)
    assert [message.to_openai() for message in accepted(once)] == [message.to_openai() for message in once]


@by_form
def test_what_is_in_order_is_shown_as_it_is(form: Form) -> None:
    asked = [form.call("let me see", ["a"]), *form.results(["a"], ""), form.call("", ["b"]), *form.results(["b"], "")]
    done = [Message.assistant(form.say("done")), Message.user(form.say("q2"))]
    history = numbered([Message.system("be kind"), Message.user(form.say("q1")), *asked, *done])
    assert accepted(history) == history
    assert accepts(form, accepted(history))
    assert unanswered(history) == []


@with_parallel_calls
def test_r1_a_call_that_was_never_answered_is_left_out(form: Form) -> None:
    asked = [Message.user(form.say("q1")), form.call("", ["a", "b"]), *form.results(["a"], "")]
    history = numbered([*asked, Message.user(form.say("q2"))])
    shown = accepted(history)
    assert accepts(form, shown)
    assert (occurrences(shown, "a"), occurrences(shown, "b")) == (2, 0)
    assert [(call.seq, call.id) for call in unanswered(history)] == [(2, "" if form is GEMINI else "b")]


@by_form
def test_r1_words_beside_a_call_that_was_never_answered_stay(form: Form) -> None:
    shown = said([Message.user(form.say("q1")), form.call("let me see", ["a"]), Message.user(form.say("q2"))])
    assert accepts(form, shown)
    assert "let me see" in repr(shown[1].content)
    assert occurrences(shown, "a") == 0
    assert [message.role for message in shown] == ["user", "assistant", "user"]


@by_form
def test_r1_a_message_of_calls_alone_goes_with_them(form: Form) -> None:
    shown = said([Message.user(form.say("q1")), form.call("", ["a"]), Message.assistant(form.say("sorry"))])
    assert [message.role for message in shown] == ["user", "assistant"]
    assert accepts(form, shown)


@with_parallel_calls
def test_r1_the_calls_that_are_just_being_answered_stay_where_asked(form: Form) -> None:
    history = numbered([Message.user(form.say("q")), form.call("", ["a", "b"]), *form.results(["a"], "")])
    assert accepted(history, pending=True) == history
    more = numbered([*history, Message.system("note")])
    assert positions(accepted(more, pending=True)) == [1, 2, 3, 4]
    over = numbered([*history, Message.user(form.say("hello?"))])
    assert accepted(over, pending=True) == accepted(over)
    assert occurrences(accepted(over), "b") == 0


@by_form
def test_a_result_that_comes_after_the_next_question_is_moved_behind_its_call(form: Form) -> None:
    asked = [Message.user(form.say("slow job")), form.call("", ["a"]), Message.user(form.say("still there?"))]
    shown = said([*asked, *form.results(["a"], ""), Message.assistant(form.say("done"))])
    assert accepts(form, shown)
    assert positions(shown) == ([1, 2, 3, 5] if form in (BEDROCK, GEMINI) else [1, 2, 4, 3, 5])
    assert "still there?" in repr(shown)


@with_parallel_calls
def test_results_in_several_places_come_together(form: Form) -> None:
    asked = [Message.user(form.say("q")), form.call("", ["a", "b"]), *form.results(["b"], "")]
    more = [Message.user(form.say("well?")), *form.results(["a"], "and this?"), Message.assistant(form.say("done"))]
    shown = said([*asked, *more])
    assert accepts(form, shown)
    assert (occurrences(shown, "a"), occurrences(shown, "b")) == (2, 2)
    assert form is OPENAI or "and this?" in repr(shown)


@by_form
def test_results_twice_early_and_of_no_call_are_left_out(form: Form) -> None:
    once = [Message.user(form.say("q")), form.call("", ["a"]), *form.results(["a"], "")]
    end = Message.assistant(form.say("done"))
    twice, foreign = [*once, *form.results(["a"], ""), end], [*once, *form.results(["zz"], ""), end]
    early = [Message.user(form.say("q")), *form.results(["b"], ""), form.call("hm", ["b"]), end]
    assert said(twice)[:3] == said([*once, end])[:3]
    assert (occurrences(said(foreign), "zz"), occurrences(said(early), "b")) == (0, 0)
    for history in (twice, foreign, early):
        assert accepts(form, said(history))


@by_form
def test_r10_an_id_that_comes_again_in_each_turn_has_its_own_result(form: Form) -> None:
    turn = [Message.user(form.say("q")), form.call("", ["call_0"]), *form.results(["call_0"], "")]
    history = numbered([*turn, Message.assistant(form.say("a")), *turn, Message.assistant(form.say("b"))])
    assert accepted(history) == history
    interrupted = numbered([turn[0], turn[1], *turn])
    assert positions(accepted(interrupted))[-3:] == [3, 4, 5]
    assert [call.seq for call in unanswered(interrupted)] == [2]


def test_r11_a_result_whose_call_never_was_is_left_out_alone() -> None:
    orphan = Message.tool("r", tool_call_id="zz")
    shown = said([Message.user("q1"), orphan, Message.assistant("a"), Message.user("q2"), Message.assistant("b")])
    assert positions(shown) == [1, 3, 4, 5]


def test_two_calls_of_one_id_in_a_message_are_one() -> None:
    shown = said([Message.user("q"), calling("a", "a", "b"), *OPENAI.results(["a", "a", "b"], "")])
    assert [call["id"] for call in shown[1].tool_calls or ()] == ["a", "b"]
    assert positions(shown) == [1, 2, 3, 5]
    assert accepts(OPENAI, shown)


def test_an_id_that_is_a_number_is_its_text() -> None:
    function = {"type": "function", "function": {"name": "f", "arguments": "{}"}}
    calls = [{"id": 7, **function}, {"id": True, **function}, {"id": None, **function}]
    shown = said([Message.user("q"), Message.assistant(tool_calls=calls), Message.tool("r", tool_call_id="7")])
    assert [call["id"] for call in shown[1].tool_calls or ()] == ["7"]
    assert accepts(OPENAI, shown)
    use = [{"type": "tool_use", "id": 7, "name": "f", "input": {}}]
    results = [{"type": "tool_result", "tool_use_id": 7, "content": "r"}]
    assert accepts(ANTHROPIC, said([Message.user("q"), Message.assistant(use), Message.user(results)]))
    used = [{"toolUse": {"toolUseId": 7, "name": "f", "input": {}}}]
    result = [{"toolResult": {"toolUseId": 7, "content": []}}]
    assert accepts(BEDROCK, said([Message.user([{"text": "q"}]), Message.assistant(used), Message.user(result)]))


@pytest.mark.parametrize(
    ("odd", "left", "calls"),
    [
        (Message.assistant(tool_calls=[{}]), [], 1),
        (Message.assistant("words", tool_calls=[{"id": ""}, {"function": 5}]), ["words"], 2),
        (Message.assistant([{"type": []}, {"type": "tool_use"}, {"toolUse": {}}]), [[{"type": []}]], 2),
        (Message.assistant("words", extra={"function_call": "f"}), ["words"], 1),
        (Message.assistant("words", extra={"function_call": {"name": None}, "refusal": None}), ["words"], 1),
        (Message.user([{"type": "tool_result"}, {"toolResult": {"toolUseId": []}}]), [], 0),
        (Message.user([{"toolResult": 5}]), [[{"toolResult": 5}]], 0),
        (Message.tool("r"), [], 0),
        (Message.tool("r", tool_call_id=""), [], 0),
        (Message.tool([{"type": "text", "text": "r"}]), [], 0),
        (Message("function", "r"), [], 0),
    ],
    ids=repr,
)
def test_what_has_the_shape_of_no_call_and_no_result_breaks_nothing(odd: Message, left: list[Any], calls: int) -> None:
    shown = said([Message.user("q"), odd, Message.user("p")])
    assert [message.content for message in shown] == ["q", *left, "p"]
    assert len(unanswered(numbered([odd]))) == calls


@pytest.mark.parametrize(
    "content",
    [
        None,
        "",
        " \n",
        [],
        [{"type": "text", "text": ""}],
        [{"type": "thinking", "thinking": "hm", "signature": "s"}],
        [{"reasoningContent": {"reasoningText": {"text": "hm"}}}],
    ],
    ids=repr,
)
def test_r19_an_assistant_with_nothing_to_say_is_left_out(content: Any) -> None:
    assert positions(said([Message.user("q"), Message.assistant(content), Message.user("p")])) == [1, 3]


@pytest.mark.parametrize("extra", [{"refusal": "no"}, {"audio": {"id": "a1"}}], ids=repr)
def test_what_stands_in_place_of_content_is_shown(extra: dict[str, Any]) -> None:
    shown = said([Message.user("q"), Message.assistant(extra=extra), Message.user("p")])
    assert positions(shown) == [1, 2, 3]
    assert accepts(OPENAI, shown)


def test_what_a_provider_runs_itself_stays_beside_its_call() -> None:
    """Its result is in the message with the call."""
    own = [
        {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {}},
        {"type": "web_search_tool_result", "tool_use_id": "s1", "content": []},
        {"type": "tool-call", "toolCallId": "v1", "toolName": "f", "input": {}},
        {"type": "tool-result", "toolCallId": "v1", "toolName": "f", "output": {}},
        {"type": "text", "text": "found"},
    ]
    history = numbered([Message.user("q"), Message.assistant(own)])
    assert accepted(history) == history
    assert unanswered(history) == []


def test_a_call_is_answered_in_its_own_form_alone() -> None:
    """No provider takes one half of a pair in another's form."""
    use = {"type": "tool_use", "id": "a", "name": "f", "input": {}}
    both = Message.assistant([use], tool_calls=calling("a").tool_calls)
    shown = said([Message.user("q"), both, Message.tool("r", tool_call_id="a"), Message.assistant("done")])
    assert (shown[1].content, len(shown[1].tool_calls or ())) == (None, 1)
    assert accepts(OPENAI, shown)
    parted = said([Message.user("q"), calling("a"), *ANTHROPIC.results(["a"], ""), Message.assistant("done")])
    assert [message.content for message in parted] == ["q", "done"]


def test_a_note_between_a_call_and_its_result_comes_after_both() -> None:
    shown = said([Message.user("q"), calling("a"), Message.system("note"), Message.tool("r", tool_call_id="a")])
    assert positions(shown) == [1, 2, 4, 3]
    assert accepts(OPENAI, shown)


def test_r3_a_question_beside_results_stays_when_their_call_is_not_shown() -> None:
    """In either order of the parts."""
    mixed = ANTHROPIC.results(["a"], "and then?")[0]
    assert [message.content for message in said([mixed])] == [[{"type": "text", "text": "and then?"}]]
    (alone,) = ANTHROPIC.results(["a"], "")
    assert said([alone, Message.assistant("done")])[0].content == "done"
    assert (starts_turn(mixed), starts_turn(alone)) == (True, False)
    assert [starts_turn(one) for one in (*BEDROCK.results(["a"], ""), *BEDROCK.results(["a"], "so"))] == [False, True]


def test_r3_results_beside_a_question_come_before_it() -> None:
    history = [Message.user("q"), ANTHROPIC.call("", ["a"]), *ANTHROPIC.results(["a"], "and then?")]
    shown = said(history)
    assert positions(shown) == [1, 2, 3]
    parts: Any = shown[2].content
    assert [part["type"] for part in parts] == ["tool_result", "text"]
    assert accepts(ANTHROPIC, shown)


def test_r20_calls_by_call_id_and_those_of_vercel_are_pairs_too() -> None:
    calls = [
        {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
        {"type": "tool-call", "toolCallId": "b", "toolName": "f", "input": {}},
        {"type": "tool-call", "toolCallId": "c", "toolName": "f", "input": {}},
    ]
    results = [
        Message.tool([{"type": "function_call_output", "call_id": "a", "output": "r"}]),
        Message.tool([{"type": "tool-result", "toolCallId": "b", "toolName": "f", "output": {}}]),
    ]
    shown = said([Message.user("q"), Message.assistant(calls), Message.user("p"), *results])
    assert [(message.role, len(message.content or ())) for message in shown] == [
        ("user", 1),
        ("assistant", 2),
        ("tool", 2),
        ("user", 1),
    ]
    assert [call.id for call in unanswered(numbered([Message.assistant(calls), *results]))] == ["c"]


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        (Message.assistant(tool_calls=[{"id": "c", "function": {"name": "f", "arguments": '{"a": 1}'}}]), '{"a": 1}'),
        (Message.assistant(extra={"function_call": {"name": "f", "arguments": "{}"}}), "{}"),
        (Message.assistant([{"type": "tool_use", "id": "c", "name": "f", "input": {"a": 1}}]), {"a": 1}),
        (Message.assistant([{"toolUse": {"toolUseId": "c", "name": "f", "input": {"a": 1}}}]), {"a": 1}),
        (Message.assistant([{"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}]), "{}"),
        (Message.assistant([{"type": "tool-call", "toolCallId": "c", "toolName": "f", "args": {"a": 1}}]), {"a": 1}),
        (Message.assistant(tool_calls=[{"id": "c", "function": "f"}]), None),
    ],
)
def test_a_call_without_a_result_has_its_arguments_as_the_provider_gave_them(message: Message, arguments: Any) -> None:
    (call,) = unanswered(numbered([message]))
    assert call.arguments == arguments


def test_the_legacy_form_is_answered_by_name() -> None:
    history = numbered([Message.user("q"), LEGACY.call("", ["f"]), *LEGACY.results(["f"], ""), Message.assistant("a")])
    assert accepted(history) == history
    assert [(call.id, call.name) for call in unanswered(history[:2])] == [("", "f")]
    assert said([Message.user("q"), LEGACY.call("so", ["f"]), *LEGACY.results(["g"], "")])[1].extra is None


THINKING = {"type": "thinking", "thinking": "hm", "signature": "s"}
REASONING = {"reasoningContent": {"reasoningText": {"text": "hm"}}}


@pytest.mark.parametrize(
    ("form", "blank"),
    [(ANTHROPIC, {"type": "text", "text": "\n\n"}), (BEDROCK, {"text": " "})],
    ids=["anthropic", "bedrock"],
)
def test_a_blank_text_of_an_assistant_is_left_out(form: Form, blank: dict[str, Any]) -> None:
    called: Any = form.call("so", ["a"]).content
    answered = [Message.assistant([blank, *called, blank]), *form.results(["a"], "")]
    shown = said([Message.user(form.say("q")), *answered, Message.assistant([blank, called[0], blank])])
    assert [message.content for message in shown if message.role == "assistant"] == [called, called[:1]]
    assert accepts(form, shown)
    assert said([Message.user([blank])])[0].content == [blank]


@pytest.mark.parametrize(
    ("form", "thought"),
    [(ANTHROPIC, THINKING), (ANTHROPIC, {"type": "redacted_thinking", "data": "x"}), (BEDROCK, REASONING)],
    ids=["anthropic", "redacted", "bedrock"],
)
def test_thoughts_go_with_the_calls_that_they_led_to(form: Form, thought: dict[str, Any]) -> None:
    called: Any = form.call("so", ["a"]).content
    text, use = called
    asked = [Message.user(form.say("q")), Message.assistant([thought, text, thought, use])]
    shown = said([*asked, Message.user(form.say("still there?"))])
    assert shown[1].content == [thought, text]
    assert accepts(form, shown)
    assert said([*asked, *form.results(["a"], "")])[1].content == asked[1].content
    assert accepted(numbered(asked), pending=True)[1].content == asked[1].content


@pytest.mark.parametrize("form", [BEDROCK, GEMINI], ids=lambda form: form.name)
def test_texts_in_a_conversation_in_the_form_of_bedrock_or_gemini_are_joined(form: Form) -> None:
    """As answers that were streamed and broke off."""
    parts = [Message.assistant("It is ", state="failed"), Message.assistant("It is noon.")]
    shown = said([Message.user(form.say("q")), *parts, Message.user(form.say("p"))])
    assert accepts(form, shown)
    assert [message.content for message in shown][1:2] == [[{"text": "It is "}, {"text": "It is noon."}]]
    alone = numbered([Message.user("q"), *parts, Message.user("p")])
    assert accepted(alone) == alone


def test_a_text_in_the_form_of_bedrock_is_a_part_and_joined_with_its_neighbours() -> None:
    """As a redaction leaves one, and a streamed answer is one."""
    q, text = Message.user([{"text": "q"}]), Message.user("[redacted]")
    for order in ([q, text], [text, q], [text, text, q], [q, Message.system("s"), text, q]):
        shown = [message for message in said([*order, Message.assistant([{"text": "a"}])]) if message.role != "system"]
        assert accepts(BEDROCK, shown)
        assert [len(message.content or ()) for message in shown] == [len([m for m in order if m.role == "user"]), 1]
    alone = said([Message.user("q"), Message.assistant([{"text": "a"}]), text, Message.assistant("streamed"), q])
    assert accepts(BEDROCK, alone)
    assert [message.content for message in alone][2:4] == [[{"text": "[redacted]"}], [{"text": "streamed"}]]
    for others in ([text, text], [text, Message.user([{"type": "text", "text": "q"}])], [text, Message.user([])]):
        assert accepted(numbered(others)) == numbered(others)
