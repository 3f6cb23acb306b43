"""Lines of an import: what is damage, and that nothing is lost in silence."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st

from chat_memory import Message, ValidationError
from chat_memory.maintenance.formats import json_lines, own
from chat_memory.maintenance.formats.lines import read_line
from chat_memory.records import Transcript
from tests import strategies

pytestmark = pytest.mark.once

names = st.sampled_from(["a", "b", "", "ü", '"', "\\", ":", "a\\", 'a":', "\u2028"])
"""Few, so that they meet; and such as make it hard to tell names by their look."""
leaves = st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False, allow_infinity=False) | names
pairs: st.SearchStrategy[Any] = st.recursive(
    leaves,
    lambda below: st.lists(below, max_size=3) | st.lists(st.tuples(names, below), max_size=3).map(tuple),
    max_leaves=8,
)
"""Values whose objects are tuples of pairs, so that a name may be there twice."""
separators = st.sampled_from([(",", ":"), (", ", ": "), (" ,\t", " :\r ")])


def written(value: Any, comma: str, colon: str, *, is_ascii: bool) -> str:
    """The value as JSON, with every pair of its objects."""
    if isinstance(value, tuple):
        members = (
            json.dumps(name, ensure_ascii=is_ascii) + colon + written(item, comma, colon, is_ascii=is_ascii)
            for name, item in value
        )
        return "{" + comma.join(members) + "}"
    if isinstance(value, list):
        return "[" + comma.join(written(item, comma, colon, is_ascii=is_ascii) for item in value) + "]"
    return json.dumps(value, ensure_ascii=is_ascii)


def has_twice(value: Any) -> bool:
    if isinstance(value, tuple):
        return len({name for name, _item in value}) < len(value) or any(has_twice(item) for _name, item in value)
    return isinstance(value, list) and any(map(has_twice, value))


@given(pairs, separators, st.booleans())
def test_a_name_that_is_there_twice_is_damage_however_the_line_is_written(
    value: Any, between: tuple[str, str], is_ascii: bool
) -> None:
    record = (("x", value),)
    line = written(record, *between, is_ascii=is_ascii).encode()
    if has_twice(record):
        with pytest.raises(ValidationError, match="the same name"):
            json_lines.parse(line)
    else:
        assert json_lines.parse(line) == json.loads(line)


@given(st.lists(strategies.messages, max_size=3), strategies.keys, strategies.objects)
def test_a_line_of_ours_is_read_as_it_was_written(messages: list[Message], key: str, metadata: Any) -> None:
    """And is known at one look to hold no name twice."""
    numbered = [msgspec.structs.replace(message, id=f"m{seq}", seq=seq) for seq, message in enumerate(messages, 1)]
    line = own.write(Transcript(key, numbered, fields={"metadata": metadata}))
    assert len(line.decode().splitlines()) == 1
    assert own.write(read_line(line)) == line
    assert json_lines._is_written_alike(msgspec.json.decode(line), line)


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"key": 5.5, "messages": []}, "key: must be text or a whole number, not 5.5"),
        ({"key": True, "messages": []}, "key: must be text or a whole number, not True"),
        ({"key": "k"}, "messages: is missing"),
        ({"key": "k", "messages": 1}, "messages: must be a list, not int"),
        ({"key": "k", "messages": [], "a\nb": 1}, "this version does not know the key 'a\\nb'"),
        ({"key": "k", "messages": [], "base_seq": 2**60}, "base_seq: must be a whole number <= 9007199254740992"),
        ({"key": "k", "messages": [], "base_seq": 1.5}, "base_seq: must be a whole number, not float"),
        (
            {"key": "k", "messages": [], "created_at": []},
            "created_at: must be a time such as 2025-01-31T12:00:00+00:00",
        ),
        (
            {"key": "k", "messages": [], "created_at": 1699017614000},
            "created_at: a number must be Unix seconds, not 16990",
        ),
        ({"key": "k", "messages": [], "expires_at": "x"}, "expires_at: must be a time such as"),
        ({"key": "k", "messages": [], "created_at": "0001-01-01T00:00:00+14:00"}, "created_at: is out of range in UTC"),
        ({"key": "k", "messages": [], "branches": {}}, "branches: must be a list, not object"),
        ([{"key": "k"}], "a line holds one conversation as an object, not list: jq -c '.[]' makes lines of a list"),
        ({"key": "k", "messages": [], "branches": [1]}, "branches[0]: must be an object, not int"),
        (
            {"key": "k", "messages": [], "branches": [{"name": "b", "messages": [], "current": 1}]},
            "branches[0].current: must be true or false, not int",
        ),
        (
            {"key": "k", "messages": [], "summaries": [{"text": "s", "first_seq": 3, "last_seq": 2}]},
            "summaries[0].first_seq: must be from 1 to last_seq 2, not 3",
        ),
    ],
)
def test_what_is_wrong_with_a_line_is_said_with_its_place(record: Any, said: str) -> None:
    with pytest.raises(ValidationError) as refused:
        read_line(json.dumps(record).encode())
    assert str(refused.value).startswith(said)


def test_state_travels_where_it_is_not_the_usual_one() -> None:
    """A message that was being written when the export was made."""
    messages = [Message.user("a", id="1"), Message.assistant("b", id="2", state="streaming")]
    line = own.write(Transcript("k", messages))
    assert [message.get("state") for message in json.loads(line)["messages"]] == [None, "streaming"]
    assert read_line(line).messages == messages
