"""JSON as the admin shows it: indented and readable, the same value, and no more of it than a page can hold."""

import json
from typing import Any

import pytest
from hypothesis import given

from chat_memory.admin.json_text import LONGEST, SPACES, pretty, pretty_value, readable
from tests.strategies import json_values

pytestmark = pytest.mark.once


@given(json_values)
def test_shown_json_is_the_same_value(value: Any) -> None:
    text = json.dumps(value)
    assert json.loads(pretty(text)) == value
    assert json.loads(pretty_value(value)) == value


def test_order_and_numbers_stay_as_they_came() -> None:
    assert pretty('{"b":1.50,"a":1e3}') == '{\n  "b": 1.50,\n  "a": 1e3\n}'


@pytest.mark.parametrize("text", ["", "plain text", '{"cut": ', "[" * 100_000, "NaN"])
def test_what_is_no_json_is_shown_as_it_is(text: str) -> None:
    assert pretty(text) == text


def test_what_is_too_long_or_too_deep_to_indent_is_shown_as_it_is() -> None:
    long = json.dumps(["x" * LONGEST])
    deep = "[" * 400 + ",".join("1" * (SPACES // 400)) + "]" * 400
    assert (pretty(long), pretty(deep)) == (long, deep)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (r'"\u00e9\u65e5"', '"é日"'),
        (r'"\ud83d\ude00"', '"😀"'),
        (r'"\u0022\u005c"', r'"\u0022\u005c"'),
        (r'"\u0000\u202e"', r'"\u0000\u202e"'),
        (r'"\\u00e9"', r'"\\u00e9"'),
        (r'"\ud83d"', r'"\ud83d"'),
    ],
)
def test_escapes_are_read_where_that_changes_the_looks_alone(text: str, shown: str) -> None:
    assert readable(text) == shown
