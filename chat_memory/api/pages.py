"""Owns how lists are cut into pages by keyset, never by OFFSET or COUNT; it must not know what is listed."""

from __future__ import annotations

import re
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from django.db.models import Model, Q, QuerySet
from rest_framework.request import Request

from chat_memory.api.problems import bad_request
from chat_memory.history.validation import check_time

DEFAULT_SIZE = 50
LARGEST_SIZE = 500
_DIGITS = re.compile(r"[0-9]{1,18}", re.ASCII)

Row = TypeVar("Row", bound=Model)


class Order(msgspec.Struct, frozen=True):
    """A total order of rows: its columns, all in one direction, and the type of a cursor: backwards or not, values."""

    columns: tuple[str, ...]
    cursor: Any
    descending: bool


def page_size(request: Request) -> int:
    """The ``page_size`` asked for, at most LARGEST_SIZE.

    Raises:
        Refusal: 400, it is not a number from 1.
    """
    return min(number(request, "page_size", lowest=1) or DEFAULT_SIZE, LARGEST_SIZE)


def number(request: Request, name: str, lowest: int = 0) -> int | None:
    """A whole number among the query parameters; None where it is not given.

    Raises:
        Refusal: 400, it is something else or below ``lowest``.
    """
    text = request.query_params.get(name)
    if text is None:
        return None
    if not _DIGITS.fullmatch(text) or int(text) < lowest:
        raise bad_request(f"Must be a whole number from {lowest}.", name)
    return int(text)


def link(request: Request, **changes: str | int | None) -> str:
    """The address of the request with other query parameters; None takes one away."""
    params = request.query_params.copy()
    for name, value in changes.items():
        params.pop(name, None)
        if value is not None:
            params[name] = str(value)
    return f"{request.build_absolute_uri(request.path)}?{params.urlencode()}"


def envelope(results: Any, following: str | None, previous: str | None) -> dict[str, Any]:
    """The shape of every list."""
    return {"results": results, "next": following, "previous": previous}


def cut(request: Request, rows: QuerySet[Row], order: Order) -> tuple[Sequence[Row], str | None, str | None]:
    """One page of the rows, and the addresses of the next and the previous one: one query.

    Raises:
        Refusal: 400, ``cursor`` or ``page_size`` cannot be read.
    """
    size = page_size(request)
    backwards, position = _decode(request.query_params.get("cursor"), order)
    down = order.descending != backwards
    if position:
        rows = rows.filter(_beyond(list(zip(order.columns, position, strict=True)), "lt" if down else "gt"))
    found = list(rows.order_by(*(f"-{column}" if down else column for column in order.columns))[: size + 1])
    more, found = len(found) > size, found[:size]
    if not found:
        return [], None, None
    if backwards:
        found.reverse()
    following = link(request, cursor=_encode(False, found[-1], order)) if more or backwards else None
    newer = bool(position) if not backwards else more
    previous = link(request, cursor=_encode(True, found[0], order)) if newer else None
    return found, following, previous


def _beyond(columns: list[tuple[str, Any]], side: str) -> Q:
    """Rows on one side of a position in the order of the columns, in a form an index serves."""
    (column, value), *rest = columns
    strictly = Q(**{f"{column}__{side}": value})
    return Q(**{f"{column}__{side}e": value}) & (strictly | _beyond(rest, side)) if rest else strictly


def _encode(backwards: bool, row: Model, order: Order) -> str:
    position = [backwards, *(getattr(row, column) for column in order.columns)]
    return urlsafe_b64encode(msgspec.json.encode(position)).decode().rstrip("=")


def _decode(text: str | None, order: Order) -> tuple[bool, tuple[Any, ...]]:
    if text is None:
        return False, ()
    try:
        raw = b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        backwards, *position = msgspec.json.decode(raw, type=order.cursor)
        for value in position:
            if isinstance(value, datetime):
                check_time(value, "cursor")
    except (ValueError, msgspec.MsgspecError):
        raise bad_request("Must come from a page's next or previous.", "cursor") from None
    return backwards, tuple(position)
