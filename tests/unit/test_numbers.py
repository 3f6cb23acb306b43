"""The numbers that calls take: whole ones from 0, lives of cached conversations, and spans that have one beginning."""

from typing import Any

import pytest

from chat_memory import ValidationError
from chat_memory.records import Span
from chat_memory.rules.numbers import LONGEST_TTL, MAX_POSITION, check_cache_ttl, check_span, whole_number

pytestmark = pytest.mark.once


@pytest.mark.parametrize("number", [0, 1, MAX_POSITION])
def test_whole_numbers_from_0_are_taken_as_they_are(number: int) -> None:
    assert whole_number(number) == number


def test_a_number_beyond_every_position_is_the_last_one() -> None:
    assert whole_number(10**5_000) == MAX_POSITION


@pytest.mark.parametrize(("number", "shown"), [(-1, "-1"), (1.0, "1.0"), (True, "True"), ("1", "'1'"), (None, "None")])
def test_every_other_number_is_refused_with_its_value(number: Any, shown: str) -> None:
    with pytest.raises(ValidationError, match=f"^size: must be a whole number from 0, not {shown}$"):
        whole_number(number, "size")


@pytest.mark.parametrize("ttl", [None, 0, 0.5, 60, LONGEST_TTL])
def test_lives_of_cached_conversations(ttl: float | None) -> None:
    check_cache_ttl(ttl)


@pytest.mark.parametrize("ttl", [-1, LONGEST_TTL + 1, float("nan"), float("inf"), True, "60"])
def test_a_life_that_is_none_is_refused(ttl: Any) -> None:
    with pytest.raises(ValidationError, match=r"^cache_ttl: must be None or seconds from 0"):
        check_cache_ttl(ttl)


@pytest.mark.parametrize("span", [Span(), Span(first=0), Span(last=5, after=2, before=9), Span(min_version=3)])
def test_spans(span: Span) -> None:
    check_span(span)


@pytest.mark.parametrize(
    ("span", "field"),
    [
        (Span(first=-1), "first"),
        (Span(last=True), "last"),
        (Span(after=1.5), "after"),  # type: ignore[arg-type]
        (Span(before="9"), "before"),  # type: ignore[arg-type]
        (Span(min_version=None), "min_version"),  # type: ignore[arg-type]
        (Span(first=1, last=1), "span"),
        ({"first": 1}, "span"),
    ],
)
def test_a_span_that_is_none_is_refused_by_field(span: Any, field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        check_span(span)
    assert caught.value.field == field
