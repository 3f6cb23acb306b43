"""What a provider is shown of very many calls and results: the work grows with them, and not with their square."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import msgspec
import pytest

from chat_memory import Message
from chat_memory.history.pairs import accepted
from tests.histories import ANTHROPIC, BEDROCK, OLLAMA, OPENAI, Form, numbered

pytestmark = pytest.mark.once


def steps(work: Callable[[], object]) -> int:
    """How many steps Python takes for a piece of work: the same each time, on any machine."""
    count = 0

    def tracer(frame: FrameType, event: str, _arg: object) -> Any:
        nonlocal count
        frame.f_trace_opcodes = True
        count += event == "opcode"
        return tracer

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def calls_of_many_in_one(form: Form, size: int) -> list[Message]:
    """A result message for the calls of so many."""
    ids = [f"c{n}" for n in range(size)]
    return [Message.user(form.say("q")), *(form.call("", [each]) for each in ids), *form.results(ids, "so?")]


def results_of_one_in_many(form: Form, size: int) -> list[Message]:
    ids = [f"c{n}" for n in range(size)]
    results = [result for each in ids for result in form.results([each], "")]
    return [Message.user(form.say("q")), form.call("", ids), *results]


def neighbours(form: Form, size: int) -> list[Message]:
    return [Message.user(form.say("q")) for _ in range(size)]


@pytest.mark.parametrize("form", [OPENAI, ANTHROPIC, BEDROCK, OLLAMA], ids=lambda form: form.name)
@pytest.mark.parametrize("shape", [calls_of_many_in_one, results_of_one_in_many, neighbours])
def test_the_work_grows_as_the_history_does(form: Form, shape: Callable[[Form, int], list[Message]]) -> None:
    """Any member may write such a history."""
    few, many = numbered(shape(form, 50)), numbered(shape(form, 400))
    assert steps(lambda: accepted(many)) < 10 * steps(lambda: accepted(few))


def test_a_message_of_many_results_shares_its_tokens_among_them() -> None:
    *calls, results = numbered(calls_of_many_in_one(ANTHROPIC, 50))
    for tokens in (1, 60, 999, 3_000, 100_000):
        shown = accepted([*calls, msgspec.structs.replace(results, tokens=tokens)])
        shares = [message.tokens or 0 for message in shown if message.seq == results.seq]
        assert len(shares) == 50
        assert tokens - 50 <= sum(shares) <= tokens
