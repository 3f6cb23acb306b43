"""Mapping: a message becomes columns and a message again."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st

from chat_memory import Message, MessageConflict
from chat_memory.choices import STATES
from chat_memory.fields import GIVEN, IDENTITY, MESSAGE, MESSAGE_COLUMNS, PLAIN_COLUMNS
from chat_memory.storage.mapping import (
    COLUMNS,
    JSON_MEMBERS,
    Columns,
    Row,
    check_replay,
    of_json,
    to_columns,
    to_json,
    to_messages,
    to_row,
    turns,
)
from tests.strategies import messages

pytestmark = pytest.mark.once

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def complete(message: Message) -> Message:
    """As a conversation completes it before an adapter sees it."""
    return msgspec.structs.replace(message, id=message.id or "made", created_at=message.created_at or NOW)


placed = st.builds(
    lambda message, seq, state: msgspec.structs.replace(complete(message), seq=seq, state=state),
    messages,
    st.integers(1, 2**62),
    st.sampled_from(sorted(STATES)),
)


@given(st.lists(placed, max_size=5))
def test_rows_are_lossless(expected: list[Message]) -> None:
    """FEATURES R09: alone and in any company, since rows are decoded column by column."""
    assert to_messages([(message.seq, *to_row(message), message.turn) for message in expected]) == expected


@given(st.lists(placed, min_size=1, max_size=5))
def test_columns_are_those_of_the_rows(given_messages: list[Message]) -> None:
    *columns, is_plain = to_columns(given_messages)
    rows = [to_row(message) for message in given_messages]
    assert list(zip(*columns, strict=True)) == rows
    assert is_plain == all(row.is_plain for row in rows)


@given(placed)
def test_columns_hold_text_numbers_and_a_time(message: Message) -> None:
    columns = to_row(message)._asdict()
    assert columns.pop("created_at").tzinfo is UTC
    assert all(column is None or type(column) in (str, int) for column in columns.values())


def test_columns_are_those_of_the_table_of_fields() -> None:
    assert COLUMNS == MESSAGE_COLUMNS
    assert Columns._fields == (*MESSAGE_COLUMNS, "is_plain")
    assert set(Message.__struct_fields__) == {field.name for field in MESSAGE} | {"content_absent"}
    assert set(JSON_MEMBERS) == set(Message.__struct_fields__) - {"extra"}
    assert set(IDENTITY) <= {*GIVEN, "extra"}


def test_plain_text_leaves_the_other_columns_empty() -> None:
    row = to_row(complete(Message.user("x")))
    assert row.is_plain
    assert row == Row("made", "user", "x", None, None, None, None, None, None, None, NOW, "complete")
    assert {name for name, value in row._asdict().items() if value is not None} | {"tokens"} == set(PLAIN_COLUMNS)


@pytest.mark.parametrize("field", ["name", "metadata", "tool_calls", "tool_call_id", "extra"])
def test_a_message_with_more_than_text_is_not_plain(field: str) -> None:
    empty: dict[str, Any] = {"metadata": {}, "tool_calls": [], "extra": {"a": 1}}
    message = msgspec.structs.replace(complete(Message.user("x")), **{field: empty.get(field, "")})
    assert not to_row(message).is_plain
    assert not to_columns([message, complete(Message.user("y"))]).is_plain


def test_text_of_a_class_of_its_own_is_text() -> None:
    class Text(str):
        __slots__ = ()

    message = complete(Message.user(Text("x")))
    assert to_row(message).content == to_columns([message]).content[0] == "x"


@given(st.lists(placed, max_size=4))
def test_the_wire_is_messages_again(expected: list[Message]) -> None:
    assert of_json([to_json(message) for message in expected]) == expected


@given(placed)
def test_the_wire_has_every_member(message: Message) -> None:
    """With each member there whatever its value, but for the mark of an absent content; ``extra`` beside them."""
    text = to_json([message])
    (shown,) = msgspec.json.decode(text)
    assert set(JSON_MEMBERS) - set(shown) == (set() if message.content_absent else {"content_absent"})
    assert shown.items() >= (message.extra or {}).items()
    assert shown["state"] == message.state
    assert to_json(message) == text[1:-1]


def test_json_keeps_the_order_of_keys() -> None:
    row = to_row(complete(Message.user("x", metadata={"z": 1, "a": 2})))
    assert row.metadata == '{"z":1,"a":2}'


@given(messages)
def test_a_retry_equals_what_it_repeats(message: Message) -> None:
    stored = msgspec.structs.replace(complete(message), seq=9, tokens=1, state="failed")
    check_replay(stored, complete(message))


@given(messages, messages)
def test_another_message_is_a_conflict(one: Message, other: Message) -> None:
    same = all(repr(getattr(one, name)) == repr(getattr(other, name)) for name in (*IDENTITY, "content_absent"))
    if same:
        check_replay(one, other)
    elif one.role != other.role or one.content_absent != other.content_absent or one.name != other.name:
        with pytest.raises(MessageConflict):
            check_replay(one, other)


@pytest.mark.parametrize("change", [{"content": ""}, {"name": ""}, {"metadata": {}}, {"tool_call_id": ""}])
def test_none_and_nothing_are_different_content(change: dict[str, object]) -> None:
    plain = Message("assistant", None, tool_calls=[{}], id="a")
    with pytest.raises(MessageConflict, match="'a'"):
        check_replay(plain, msgspec.structs.replace(plain, **change))


def test_a_turn_begins_with_a_user() -> None:
    roles = ("assistant", "user", "assistant", "tool", "user", "user")
    assert turns([Message(role, "x") for role in roles]) == [0, 1, 1, 1, 2, 3]
