"""Histories with tool calls as hypothesis draws them, in the forms of several providers."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec
from hypothesis import strategies as st

from chat_memory import Message
from chat_memory.history.pairs import accepted
from chat_memory.testing.providers import Refused, check_anthropic, check_bedrock, check_gemini, check_openai

CALLS = ("c1", "c2", "c3", "call_0")
RESULTS = ("tool", "function")


class Form(NamedTuple):
    """How a provider wants calls and results to be said.

    ``call`` makes a message with a text and calls of these ids, ``results`` messages with a result for each id, and
    with a question beside them where the form has that; ``check`` raises Refused.
    """

    name: str
    say: Callable[[str], Any]
    call: Callable[[str, Sequence[str]], Message]
    results: Callable[[Sequence[str], str], list[Message]]
    check: Callable[[Sequence[Message]], None]


def calling(*ids: str, **fields: Any) -> Message:
    """An assistant's message with a call for each id."""
    function = {"name": "clock", "arguments": "{}"}
    return Message.assistant(
        tool_calls=[{"id": call, "type": "function", "function": function} for call in ids], **fields
    )


def numbered(said: Sequence[Message]) -> list[Message]:
    """The messages as they are stored: at positions, with ids and tokens."""
    return [
        msgspec.structs.replace(message, seq=seq, id=f"m{seq}", tokens=message.tokens or seq % 7)
        for seq, message in enumerate(said, 1)
    ]


def said(history: Sequence[Message]) -> list[Message]:
    """What is shown of a history."""
    return accepted(numbered(history))


def as_blocks(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """As Anthropic and Bedrock take messages: role and content alone, the system's apart."""
    return [{"role": each.role, "content": each.content} for each in messages if each.role != "system"]


def _openai_results(ids: Sequence[str], _question: str) -> list[Message]:
    return [Message.tool("r", tool_call_id=each) for each in ids]


def _legacy_results(ids: Sequence[str], _question: str) -> list[Message]:
    return [Message("function", "r", name=each) for each in ids[:1]]


def _anthropic_call(text: str, ids: Sequence[str]) -> Message:
    words = [{"type": "text", "text": text}] if text else []
    return Message.assistant([*words, *({"type": "tool_use", "id": each, "name": "f", "input": {}} for each in ids)])


def _anthropic_results(ids: Sequence[str], question: str) -> list[Message]:
    words = [{"type": "text", "text": question}] if question else []
    return [Message.user([*words, *({"type": "tool_result", "tool_use_id": each, "content": "r"} for each in ids)])]


def _bedrock_call(text: str, ids: Sequence[str]) -> Message:
    words = [{"text": text}] if text else []
    return Message.assistant([*words, *({"toolUse": {"toolUseId": each, "name": "f", "input": {}}} for each in ids)])


def _bedrock_results(ids: Sequence[str], question: str) -> list[Message]:
    results = [{"toolResult": {"toolUseId": each, "content": [{"text": "r"}]}} for each in ids]
    return [Message.user([*results, *([{"text": question}] if question else [])])]


def _gemini_call(text: str, ids: Sequence[str]) -> Message:
    words = [{"text": text}] if text else []
    return Message.assistant([*words, *({"functionCall": {"name": each, "args": {}}} for each in ids)])


def _gemini_results(ids: Sequence[str], question: str) -> list[Message]:
    results = [{"functionResponse": {"name": each, "response": {"result": "r"}}} for each in ids]
    return [Message.user([*results, *([{"text": question}] if question else [])])]


def _check_gemini(messages: Sequence[Message]) -> None:
    names = {"assistant": "model"}
    said = [message for message in messages if message.role != "system"]
    check_gemini([{"role": names.get(each.role, each.role), "parts": each.content} for each in said])


def _check_chat(messages: Sequence[Message]) -> None:
    check_openai([message.to_openai() for message in messages])


OPENAI = Form(
    "openai",
    str,
    lambda text, ids: msgspec.structs.replace(calling(*ids), content=text or None),
    _openai_results,
    _check_chat,
)
LEGACY = Form(
    "legacy",
    str,
    lambda text, ids: Message.assistant(text or None, extra={"function_call": {"name": ids[0], "arguments": "{}"}}),
    _legacy_results,
    _check_chat,
)
ANTHROPIC = Form("anthropic", str, _anthropic_call, _anthropic_results, lambda shown: check_anthropic(as_blocks(shown)))
BEDROCK = Form(
    "bedrock",
    lambda text: [{"text": text}],
    _bedrock_call,
    _bedrock_results,
    lambda shown: check_bedrock(as_blocks(shown)),
)
GEMINI = Form("gemini", lambda text: [{"text": text}], _gemini_call, _gemini_results, _check_gemini)
FORMS = (OPENAI, LEGACY, ANTHROPIC, BEDROCK, GEMINI)
OLLAMA = Form(
    "ollama",
    str,
    lambda text, ids: Message.assistant(
        text, tool_calls=[{"function": {"name": each, "arguments": {}}} for each in ids]
    ),
    lambda ids, _question: [Message.from_dict({"role": "tool", "content": "r", "tool_name": each}) for each in ids],
    _check_chat,
)
"""Calls without ids, by the names of their tools."""


def accepts(form: Form, shown: Sequence[Message]) -> bool:
    """Whether the provider accepts what is shown; there is nothing to accept without a message that is no system's."""
    try:
        if any(message.role != "system" for message in shown):
            form.check(shown)
    except Refused:
        return False
    return True


ids = st.sampled_from(CALLS)
several = st.lists(ids, min_size=1, max_size=3)
words = st.sampled_from(["", "words"])


def some_messages(form: Form) -> st.SearchStrategy[list[Message]]:
    """Some messages in a row: a question, notes, answers, calls with and without results, results of any call."""
    answered = st.builds(
        lambda text, called, question: [form.call(text, called), *form.results(list(dict.fromkeys(called)), question)],
        words,
        several,
        words,
    )
    return st.one_of(
        st.just([Message.user(form.say("question"))]),
        st.just([Message.user(form.say("question")), Message.assistant(form.say("answer"))]),
        st.just([Message.system("note")]),
        st.just([Message.assistant(form.say("answer"))]),
        st.sampled_from(["", " ", None, []]).map(lambda content: [Message.assistant(content)]),
        st.builds(lambda text, called: [form.call(text, called)], words, several),
        st.builds(form.results, several, words),
        answered,
        answered,
    )


def histories_of(form: Form) -> st.SearchStrategy[list[Message]]:
    """Parallel calls, interrupted ones, ids called again; results late, early, twice, foreign; questions in between."""
    return st.lists(some_messages(form), max_size=16).map(
        lambda found: numbered([each for few in found for each in few])
    )


histories = histories_of(OPENAI)
histories_of_forms = st.sampled_from((*FORMS, OLLAMA)).flatmap(
    lambda form: st.tuples(st.just(form), histories_of(form))
)


def without_system(messages: Sequence[Message]) -> list[Message]:
    return [message for message in messages if message.role != "system"]


def callers(history: Sequence[Message]) -> dict[int, int | None]:
    """For each result in OpenAI's form by its position: where it was called; None: nowhere."""
    found: dict[int, int | None] = {}
    for n, message in enumerate(history):
        if message.role in RESULTS and message.tool_call_id:
            made = [
                before.seq
                for before in history[:n]
                if message.tool_call_id in [call["id"] for call in before.tool_calls or []]
            ]
            found[message.seq or 0] = made[-1] if made else None
    return found


def parted(history: Sequence[Message], kept: Sequence[Message]) -> list[int]:
    """The results, in OpenAI's form, that are on the other side of a cut than their calls, or have none."""
    there = {message.seq for message in kept}
    return [result for result, call in callers(history).items() if (result in there) != (call in there)]
