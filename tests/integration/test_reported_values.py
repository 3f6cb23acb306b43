"""What other people's reports show to be hard, and what holds: odd numbers and texts, costs, isolation levels."""

import threading
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, connections
from psycopg import IsolationLevel

from chat_memory import Message, ValidationError
from tests.conversations import chat

NUMBERS = [10**21, 2**64 - 1, -(2**63), 5e-324, -0.0, 1e300, 0.1]
TEXTS = {
    "a family": "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "a flag": "\U0001f1fa\U0001f1f3",
    "right to left": "\u202eabc",
    "a byte order mark": "\ufeffx",
    "the last character": "\U0010ffff",
    "combining": "e\u0301",
}


@pytest.mark.django_db
def test_r25_numbers_come_back_as_they_were() -> None:
    calls = [{"id": "c", "function": {"name": "f", "arguments": {"numbers": NUMBERS}}}]
    chat().append(Message.assistant("x", tool_calls=calls, metadata={"n": NUMBERS}, extra={"n": NUMBERS}))
    stored: Any = chat().messages()[0]
    for numbers in (stored.metadata["n"], stored.extra["n"], stored.tool_calls[0]["function"]["arguments"]["numbers"]):
        assert [(type(number), repr(number)) for number in numbers] == [(type(n), repr(n)) for n in NUMBERS]


@pytest.mark.django_db
@pytest.mark.parametrize("name", TEXTS)
def test_r26_every_text_comes_back(name: str) -> None:
    class Text(str):
        __slots__ = ()

    text = TEXTS[name]
    chat().append(Message.user(Text(text), name=Text(text), metadata={text: text}))
    (stored,) = chat().messages()
    assert (stored.content, stored.name, stored.metadata) == (text, text, {text: text})
    assert type(stored.content) is type(stored.name) is str


@pytest.mark.django_db
@pytest.mark.parametrize("text", ["\ud83d", "a\x00b"])
def test_r26_what_no_database_stores_is_refused_by_its_place(text: str) -> None:
    for message, field in (
        (Message.user(text), "content"),
        (Message.user([{"type": "text", "text": text}]), "content[0].text"),
        (Message.user("x", metadata={"a": [text]}), "metadata.a[0]"),
        (Message.user("x", extra={"a": {"b": text}}), "extra.a.b"),
    ):
        with pytest.raises(ValidationError) as caught:
            chat().append(message)
        assert caught.value.field == f"messages[0].{field}"
    assert chat().count() == 0


@pytest.mark.django_db
def test_r52_a_cost_that_is_no_number_counts_nothing() -> None:
    odd: list[Any] = ["0.5", [1], {"usd": 1}, True, None]
    chat().append(*(Message.assistant("x", tokens=1, metadata={"cost": cost}) for cost in odd))
    assert chat().usage().recorded_cost == 0
    chat().append(*(Message.assistant("x", tokens=1, metadata={"cost": cost}) for cost in (0.5, 2, -1)))
    assert chat().usage().recorded_cost == Decimal("1.5")


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("level", [IsolationLevel.REPEATABLE_READ, IsolationLevel.SERIALIZABLE])
def test_r45_writers_at_stricter_levels_lose_and_double_nothing(level: IsolationLevel, monkeypatch: Any) -> None:
    options = {**connection.settings_dict.get("OPTIONS", {}), "isolation_level": level}
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", options)
    connection.close()
    raised: list[BaseException] = []

    def write(writer: int) -> None:
        try:
            for number in range(10):
                chat().append(Message.user(f"{writer}-{number}", id=f"{writer}-{number}"))
        except BaseException as error:  # noqa: BLE001  # the main thread fails for it
            raised.append(error)
        finally:
            connections.close_all()

    writers = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
    assert raised == []
    messages = chat().messages()
    assert [message.seq for message in messages] == list(range(1, 41))
    for name in range(4):
        own = [message.id for message in messages if (message.id or "").startswith(f"{name}-")]
        assert own == [f"{name}-{number}" for number in range(10)]
    connection.close()
