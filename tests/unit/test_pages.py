"""Pages of a list by cursor: every row is on one page, from both ends, and a foreign cursor is refused by name."""

from collections.abc import Sequence
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from django.test import override_settings
from hypothesis import given, strategies as st
from rest_framework.test import APIRequestFactory

from chat_memory import ValidationError
from chat_memory.api.http.pages import LARGEST_SIZE, CursorQuery, Page, cut
from chat_memory.api.http.problems import Refusal
from chat_memory.api.http.request import ChatRequest

pytestmark = pytest.mark.once


class Number(msgspec.Struct):
    """A row, and the shape it is shown in."""

    n: int


class Numbers:
    """A list of the numbers below an end, each at the place of its own text."""

    def __init__(self, end: int, most: int = 10_000) -> None:
        self.numbers = range(end)
        self.most = most
        self.asked: list[int] = []

    def find(self, place: str | None, size: int, *, backwards: bool) -> tuple[Sequence[Number], bool]:
        self.asked.append(size)
        if place is not None and not place.isdigit():
            raise ValidationError("no place")
        if backwards:
            wanted = self.numbers[: int(place or 0)][-size:]
            found = wanted[-self.most :]
        else:
            wanted = self.numbers[0 if place is None else int(place) + 1 :][:size]
            found = wanted[: self.most]
        return [*map(Number, found)], len(found) < len(wanted)

    def place_of(self, row: Number) -> str:
        return str(row.n)


def page_at(address: str, numbers: Numbers) -> Page[list[int]]:
    """The page that an address of the list leads to."""
    request = ChatRequest(APIRequestFactory().get(address))
    page = cut(request, request.query_as(CursorQuery), numbers, Number)
    rows = msgspec.json.decode(page.results, type=list[Number])
    return Page([row.n for row in rows], page.next, page.previous)


@given(st.integers(0, 40), st.integers(1, 5), st.integers(1, 7))
def test_c5_pages_that_end_by_bytes_hold_every_row_once_in_both_directions(end: int, size: int, most: int) -> None:
    """C5: whether the list ends a page or its JSON does, in whichever direction."""
    numbers = Numbers(end, most)
    with override_settings(CHAT_MEMORY={"MAX_ANSWER_BYTES": 1_024}):
        pages = [page_at(f"/list/?page_size={size * 100}", numbers)]
        while address := pages[-1].next:
            pages.append(page_at(address, numbers))
        assert [row for each in pages for row in each.results] == list(range(end))
        back = pages[-1:]
        while address := back[-1].previous:
            back.append(page_at(address, numbers))
        assert [row for each in reversed(back) for row in each.results] == list(range(end))


@given(st.integers(0, 12), st.integers(1, 5))
def test_pages_hold_every_row_once_in_both_directions(end: int, size: int) -> None:
    numbers = Numbers(end)
    page = page_at(f"/list/?page_size={size}", numbers)
    pages = [page]
    while page.next:
        page = page_at(page.next, numbers)
        pages.append(page)
    assert [row for each in pages for row in each.results] == list(range(end))
    assert all(len(each.results) == size for each in pages[:-1])
    back = [page]
    while page.previous:
        page = page_at(page.previous, numbers)
        back.append(page)
    assert [each.results for each in reversed(back)] == [each.results for each in pages]


def test_a_page_is_one_query_of_one_row_more_than_it_shows() -> None:
    numbers = Numbers(9)
    page_at("/list/?page_size=3", numbers)
    page_at(f"/list/?page_size={LARGEST_SIZE + 1}", numbers)
    assert numbers.asked == [4, LARGEST_SIZE + 1]


def test_a_link_keeps_what_else_was_asked() -> None:
    request = ChatRequest(APIRequestFactory().get("/list/?page_size=2&title=a%26b"))
    page = cut(request, CursorQuery(page_size=2), Numbers(3), Number)
    assert page.next is not None
    assert parse_qs(urlsplit(page.next).query) == {"page_size": ["2"], "title": ["a&b"], "cursor": ["next.1"]}


@pytest.mark.parametrize("cursor", ["1", "first.1", ".1", "next.x", "previous."])
def test_a_foreign_cursor_is_refused_by_name(cursor: str) -> None:
    with pytest.raises(Refusal) as caught:
        page_at(f"/list/?cursor={cursor}", Numbers(3))
    assert (caught.value.status_code, caught.value.field) == (400, "cursor")


@pytest.mark.parametrize("query", ["page_size=0", "page_size=x", "page_size=1&page_size=2", "pagesize=1", "page_size="])
def test_a_query_that_cannot_be_read_is_refused(query: str) -> None:
    with pytest.raises(Refusal):
        page_at(f"/list/?{query}", Numbers(3))
