"""Mapping: a message becomes columns and a message again."""

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given, strategies as st

from chat_memory import Message, MessageConflict
from chat_memory.storage.mapping import Row, check_replay, to_messages, to_row, turns
from tests.strategies import messages

pytestmark = pytest.mark.once

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def complete(message: Message) -> Message:
    """As a conversation completes it before an adapter sees it."""
    return msgspec.structs.replace(message, id=message.id or "made", created_at=message.created_at or NOW)


@given(st.lists(messages, max_size=5))
def test_rows_are_lossless(given_messages: list[Message]) -> None:
    """FEATURES R09: alone and in any company, since rows are decoded column by column."""
    expected = [msgspec.structs.replace(complete(message), seq=seq) for seq, message in enumerate(given_messages, 1)]
    assert to_messages([(message.seq, *to_row(message)) for message in expected]) == expected


@given(messages)
def test_columns_hold_text_and_numbers_alone(message: Message) -> None:
    *columns, created_at = to_row(complete(message))
    assert all(column is None or isinstance(column, str | int) for column in columns)
    assert created_at.tzinfo is UTC


def test_text_alone_leaves_the_rest_empty() -> None:
    row = to_row(complete(Message.user("x")))
    assert row.has_text_alone
    assert row == Row("made", "user", "x", None, None, None, None, None, None, NOW)
    assert not to_row(complete(Message.user("x", metadata={}))).has_text_alone


def test_json_keeps_the_order_of_keys() -> None:
    row = to_row(complete(Message.user("x", metadata={"z": 1, "a": 2})))
    assert row.metadata == '{"z":1,"a":2}'


@given(messages)
def test_a_retry_equals_what_it_repeats(message: Message) -> None:
    stored = msgspec.structs.replace(complete(message), seq=9, tokens=1)
    check_replay(stored, complete(message))


@given(messages, messages)
def test_another_message_is_a_conflict(one: Message, other: Message) -> None:
    said = ("role", "content", "content_absent", "name", "metadata", "tool_calls", "tool_call_id")
    same = all(repr(getattr(one, name)) == repr(getattr(other, name)) for name in said)
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
