"""Records: a message crosses every border without loss."""

import json
import pickle
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import RFC_4122, UUID

import msgspec
import pytest
from hypothesis import example, given, strategies as st

from chat_memory import Message, ValidationError
from chat_memory.records import Branch, as_utc, reach, uuid7, uuid7_texts
from tests.strategies import json_values, messages

pytestmark = pytest.mark.once

CALLS = [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]


@given(messages)
def test_dictionary_is_lossless(message: Message) -> None:
    """FEATURES N39."""
    assert Message.from_dict(message.to_dict()) == message


@given(messages)
def test_dictionary_survives_json(message: Message) -> None:
    """FEATURES J18."""
    assert Message.from_dict(msgspec.json.decode(msgspec.json.encode(message.to_dict()))) == message


@given(messages)
@example(Message("assistant", extra={"function_call": {}}))
def test_openai_form_holds_what_a_model_sees(message: Message) -> None:
    shown = message.to_openai(extra=False)
    assert set(shown) <= {"role", "content", "name", "tool_calls", "tool_call_id"}
    whole = message.to_openai()
    further = dict(message.extra or {})
    if isinstance(further.get("function_call"), dict):
        del further["function_call"]  # it is made to fit, and left out without a name
    assert {name: whole[name] for name in further} == further
    assert {**whole, "role": message.role, "content": None} == {**shown, **whole, "role": message.role, "content": None}
    assert Message.from_dict(message.to_openai()).to_openai() == message.to_openai()


@pytest.mark.parametrize("content", [None, ""])
def test_content_of_none_and_of_nothing_is_shown(content: str | None) -> None:
    assert Message.assistant(content, tool_calls=CALLS).to_dict()["content"] == content


def test_absent_content_stays_absent() -> None:
    message = Message.from_dict({"role": "assistant", "tool_calls": CALLS})
    assert message.content_absent
    assert message != Message.from_dict({"role": "assistant", "content": None, "tool_calls": CALLS})
    assert "content" not in message.to_dict()
    assert "content" not in message.to_openai()


def test_keys_come_in_one_order() -> None:
    message = Message.tool("42", tool_call_id="c", name="f", id="i", metadata={}, seq=3, tokens=0)
    expected = ["id", "seq", "role", "content", "name", "tool_call_id", "metadata", "tokens"]
    assert list(message.to_dict()) == expected


@pytest.mark.parametrize(
    ("made", "role"),
    [
        (Message.system("x", name="n", metadata={"a": 1}), "system"),
        (Message.user("x", name="n", metadata={"a": 1}), "user"),
        (Message.assistant("x", name="n", metadata={"a": 1}), "assistant"),
        (Message.tool("x", tool_call_id="c", name="n", metadata={"a": 1}), "tool"),
    ],
)
def test_makers_take_every_field(made: Message, role: str) -> None:
    """FEATURES S0.25, N39."""
    assert (made.role, made.content, made.name, made.metadata) == (role, "x", "n", {"a": 1})


def test_a_state_is_shown_where_it_is_not_complete() -> None:
    assert "state" not in Message.user("x").to_dict()
    broken = Message.assistant("x", state="failed")
    assert broken.to_dict()["state"] == "failed"
    assert Message.from_dict(broken.to_dict()) == broken
    assert "state" not in broken.to_openai()


@pytest.mark.parametrize("state", ["gone", "", "Complete", None, 1])
def test_an_unknown_state_is_named(state: object) -> None:
    with pytest.raises(ValidationError) as caught:
        Message.from_dict({"role": "user", "content": "x", "state": state})
    assert caught.value.field == "state"


def test_message_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Message.user("x").content = "y"  # type: ignore[misc]


def test_message_is_pickled() -> None:
    message = Message.user("x", created_at=datetime(2026, 1, 1, tzinfo=UTC))
    assert pickle.loads(pickle.dumps(message)) == message


def test_unknown_keys_are_kept() -> None:
    """FEATURES N19."""
    given: dict[str, Any] = {"role": "user", "content": "x", "refusal": None, "audio": {}}
    assert Message.from_dict(given) == Message.user("x", extra={"refusal": None, "audio": {}})


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ([], ""),
        (None, ""),
        ("text", ""),
        ({}, ""),
        ({"role": 3}, "role"),
        ({"role": "user", "content": 3}, "content"),
        ({"role": "user", "content": "x", "metadata": []}, "metadata"),
        ({"role": "user", "content": "x", "tool_calls": {}}, "tool_calls"),
        ({"role": "user", "content": "x", "created_at": "yesterday"}, "created_at"),
        ({"role": "user", "content": "x", "id": 7}, "id"),
        ({"role": "user", "content": "x", "seq": "1"}, "seq"),
        ({"role": "user", "content": "x", "created_at": "9999-12-31T23:59:59-12:00"}, "created_at"),
    ],
)
def test_wrong_dictionary_is_refused_by_field(data: Any, field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Message.from_dict(data)
    assert caught.value.field == field


@given(json_values)
def test_no_json_gives_another_error(value: Any) -> None:
    """FEATURES R07."""
    try:
        message = Message.from_dict(value)
    except ValidationError:
        return
    assert isinstance(message.role, str)


def test_deep_dictionary_is_refused() -> None:
    deep: Any = []
    for _level in range(100_000):
        deep = [deep]
    with pytest.raises(ValidationError):
        Message.from_dict({"role": "user", "content": deep, "metadata": {"x": deep}, "created_at": deep})


@given(st.datetimes(timezones=st.sampled_from([None, UTC, timezone(timedelta(hours=5, minutes=30))])))
def test_times_become_utc(moment: datetime) -> None:
    """FEATURES J19: a naive time is taken to be UTC."""
    try:
        converted = as_utc(moment)
    except OverflowError:
        return
    assert converted is not None
    assert converted.tzinfo is UTC
    assert converted == (moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment)


def test_made_ids_are_of_version_7_and_in_order() -> None:
    """RFC 9562: the first 48 bits are milliseconds."""
    ids = [uuid7() for _ in range(2_000)]
    assert {made.version for made in ids} == {7}
    assert {made.variant for made in ids} == {"specified in RFC 4122"}
    assert len(set(ids)) == len(ids)
    assert [made.int >> 80 for made in ids] == sorted(made.int >> 80 for made in ids)
    moment = datetime.fromtimestamp((ids[0].int >> 80) / 1000, UTC)
    assert abs(datetime.now(UTC) - moment) < timedelta(minutes=1)


@pytest.mark.parametrize("count", [1, 2, 10_000])
def test_ids_of_one_call_are_of_version_7_and_rise(count: int) -> None:
    texts = uuid7_texts(count)
    ids = [UUID(text) for text in texts]
    assert [str(made) for made in ids] == texts == sorted(set(texts))
    assert {(made.version, made.variant) for made in ids} == {(7, RFC_4122)}
    assert len({made.int >> 80 for made in ids}) == 1
    assert abs(ids[0].int >> 80) - uuid7().int >> 80 < 60_000


@pytest.mark.parametrize("noise", [b"\xff", b"\x00"])
def test_ids_of_one_call_rise_whatever_was_drawn(noise: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.urandom", lambda size: noise * size)
    texts = uuid7_texts(5)
    assert texts == sorted(set(texts))
    assert {UUID(text).version for text in texts} == {7}


def test_reach_of_a_branch_goes_up_to_main() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    made = (("main", None, 0, 9), ("one", "main", 4, 6), ("two", "one", 5, 8))
    branches = {
        name: Branch(name, parent, fork_seq, last_seq, last_seq, 1, current=False, created_at=now, updated_at=now)
        for name, parent, fork_seq, last_seq in made
    }
    assert reach(branches, "main") == {"main": 9}
    assert reach(branches, "two") == {"two": 8, "one": 5, "main": 4}


def test_times_in_dictionaries_are_text() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
    data = Message.user("x", created_at=moment).to_dict()
    assert json.loads(json.dumps(data))["created_at"] == "2026-01-02T03:04:05.678901+00:00"
