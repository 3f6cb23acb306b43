"""Owns keyset pagination, without OFFSET or COUNT; it must not know what is listed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Generic, Protocol, TypeVar

import msgspec

from chat_memory.api.http.problems import Refusal, bad_request
from chat_memory.api.http.request import ChatRequest
from chat_memory.api.http.responses import Shape, show
from chat_memory.conf import settings
from chat_memory.exceptions import ValidationError
from chat_memory.storage.mapping import fitting

DEFAULT_SIZE = 50
LARGEST_SIZE = 500
LARGEST_NUMBER = 10**18 - 1
_NEXT, _PREVIOUS = "next", "previous"

Number = Annotated[int, msgspec.Meta(ge=0, le=LARGEST_NUMBER)]
Size = Annotated[int, msgspec.Meta(ge=1, le=LARGEST_NUMBER)]

Row = TypeVar("Row")
Results = TypeVar("Results")


class Page(msgspec.Struct, Generic[Results], frozen=True):
    """A page of a list.

    Attributes:
        results: the rows of the page.
        next: the address of the following page; null on the last page.
        previous: the address of the preceding page; null on the first page.
    """

    results: Results
    next: str | None = None
    previous: str | None = None


class MessagePage(Page[Results], Generic[Results], frozen=True):
    """A page of messages.

    Attributes:
        last_seq: the session's last position; present only where ``after_seq`` is greater, so the client has seen
            positions that no longer exist.
    """

    last_seq: int | msgspec.UnsetType = msgspec.UNSET


class ContextPage(Page[Results], Generic[Results], frozen=True):
    """A context, in one page.

    Attributes:
        truncated: present, and true, only where messages within the budget were left out because a response has a
            largest number of messages and of bytes.
    """

    truncated: bool | msgspec.UnsetType = msgspec.UNSET


class PageQuery(msgspec.Struct, frozen=True):
    """The query parameters of every list with pages.

    Attributes:
        page_size: rows per page; a value above 500 counts as 500.
    """

    page_size: Size = DEFAULT_SIZE

    @property
    def size(self) -> int:
        """Rows per page, at most LARGEST_SIZE."""
        return min(self.page_size, LARGEST_SIZE)


class CursorQuery(PageQuery, frozen=True):
    """The query parameters of a list that is paged by cursor.

    Attributes:
        cursor: where the page begins; taken from ``next`` or ``previous`` of another page.
    """

    cursor: str | None = None


class Listing(Protocol[Row]):
    """A list that ``cut`` can page: its rows have a total order, and each row's place can be written as text."""

    def find(self, place: str | None, size: int, *, backwards: bool) -> tuple[Sequence[Row], bool]:
        """The ``size`` rows, or fewer, that follow a place directly; with ``backwards`` those that precede it.

        The rows are in the order of the list either way. Without a place, they are the first rows. The second value
        tells whether some of the ``size`` rows were left out because the page would become too long.

        Raises:
            ValidationError: the text is not a place in this list.
        """

    def place_of(self, row: Row) -> str:
        """The place of a row, as text."""


def cut(request: ChatRequest, query: CursorQuery, listing: Listing[Row], shape: type[Shape]) -> Page[msgspec.Raw]:
    """One page of a list, each row converted to a shape: one query.

    The page ends after ``page_size`` rows, or earlier if the next row would make it longer than MAX_ANSWER_BYTES. It
    has at least one row if the list has one.

    Raises:
        Refusal: 400, the cursor does not come from this list.
    """
    backwards, place = _parse(query.cursor)
    try:
        found_rows, more = listing.find(place, query.size + 1, backwards=backwards)
    except ValidationError:
        raise _foreign_cursor() from None
    more = more or len(found_rows) > query.size
    rows = found_rows[-query.size :] if backwards else found_rows[: query.size]
    if not rows:
        return Page(msgspec.Raw(b"[]"))
    body, count = _body([show(row, shape) for row in rows], backwards=backwards)
    more, rows = more or count < len(rows), (rows[-count:] if backwards else rows[:count])
    first, last = listing.place_of(rows[0]), listing.place_of(rows[-1])
    return Page(
        msgspec.Raw(body),
        request.link(cursor=f"{_NEXT}.{last}") if more or backwards else None,
        request.link(cursor=f"{_PREVIOUS}.{first}") if (more if backwards else place is not None) else None,
    )


def _body(shown: Sequence[msgspec.Struct], *, backwards: bool) -> tuple[bytes, int]:
    """The rows that fit into MAX_ANSWER_BYTES, as JSON, and their number."""
    body, most = msgspec.json.encode(shown), settings.max_answer_bytes
    if len(body) <= most:
        return body, len(shown)
    kept = fitting([msgspec.json.encode(row) for row in shown], most, from_end=backwards)
    return b"[%b]" % b",".join(kept), len(kept)


def _parse(cursor: str | None) -> tuple[bool, str | None]:
    """Whether a cursor reads backwards, and the place it starts from."""
    if cursor is None:
        return False, None
    direction, _, place = cursor.partition(".")
    if direction not in (_NEXT, _PREVIOUS):
        raise _foreign_cursor()
    return direction == _PREVIOUS, place


def _foreign_cursor() -> Refusal:
    return bad_request("Must come from a page's next or previous.", "cursor")
