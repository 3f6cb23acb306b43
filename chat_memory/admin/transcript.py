"""Owns which messages a page of the transcript shows, by keyset on the position; it must not know how they look."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from django.db.models import QuerySet

from chat_memory.admin.presentation import Entry, entries_of
from chat_memory.models import Message, Session

PAGE_SIZE = 100
_DIGITS = 18


class Page(msgspec.Struct, frozen=True):
    """A page of a transcript.

    Attributes:
        entries: the messages, oldest first.
        first: position of the first; 0 when there is none.
        last: position of the last; 0 when there is none.
        has_older: whether there are messages before ``first``.
        has_newer: whether there are messages after ``last``.
        at: the position asked for, to be marked.
    """

    entries: list[Entry]
    first: int
    last: int
    has_older: bool
    has_newer: bool
    at: int | None


def page_of(session: Session, query: Mapping[str, Any]) -> Page:
    """The page a query string asks for: ``before`` or ``after`` a position, around ``at``, else the newest."""
    before, after, at = (_position(query.get(name)) for name in ("before", "after", "at"))
    visible: Any = Message.objects.using(session._state.db).filter(
        workspace_id=session.workspace_id, session_id=session.pk, seq__gt=session.base_seq
    )
    if at is not None:
        after = max(at - PAGE_SIZE // 2 - 1, 0)
    rows = _after(visible, after) if after is not None else _before(visible, before)
    if not rows:
        return Page([], 0, 0, False, False, at)
    first, last = rows[0].seq, rows[-1].seq
    has_older = visible.filter(seq__lt=first).exists()
    has_newer = visible.filter(seq__gt=last).exists()
    return Page(entries_of(rows), first, last, has_older, has_newer, at)


def _after(visible: QuerySet[Message], position: int) -> list[Message]:
    return list(visible.filter(seq__gt=position).order_by("seq")[:PAGE_SIZE])


def _before(visible: QuerySet[Message], position: int | None) -> list[Message]:
    if position is not None:
        visible = visible.filter(seq__lt=position)
    return list(visible.order_by("-seq")[:PAGE_SIZE])[::-1]


def _position(text: Any) -> int | None:
    """A position from the address; what is none asks for nothing."""
    return int(text) if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) <= _DIGITS else None
