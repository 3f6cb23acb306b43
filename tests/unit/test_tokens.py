"""Tokens: an estimate that counts what a model sees."""

import pytest
from hypothesis import given

from chat_memory import Message
from chat_memory.history.tokens import PER_MESSAGE, count_tokens, estimate
from tests.strategies import messages, texts

pytestmark = pytest.mark.once


@given(texts)
def test_estimate_is_a_quarter_of_the_bytes_rounded_up(text: str) -> None:
    assert (estimate(text) - 1) * 4 < len(text.encode()) <= estimate(text) * 4


@given(messages)
def test_every_message_costs_something(message: Message) -> None:
    assert count_tokens(message) >= PER_MESSAGE


@pytest.mark.parametrize(
    ("message", "seen"),
    [
        (Message.user(""), []),
        (Message.user("hello"), ["hello"]),
        (Message.user("hello", name="bob"), ["hello", "bob"]),
        (Message.user([{"type": "text"}]), ['[{"type":"text"}]']),
        (Message.assistant(None, tool_calls=[{"id": "c"}]), ['[{"id":"c"}]']),
        (Message.user("hello", metadata={"never": "seen"}), ["hello"]),
    ],
)
def test_counter_is_given_what_a_model_sees(message: Message, seen: list[str]) -> None:
    counted: list[str] = []

    def counter(text: str) -> int:
        counted.append(text)
        return 100

    total = count_tokens(message, counter)
    assert [text for text in counted if text] == seen
    assert total == PER_MESSAGE + 100 * len(counted)
