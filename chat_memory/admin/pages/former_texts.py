"""Owns the former texts of edited messages that a page shows: the newest that fit, and the number of all."""

from __future__ import annotations

from django.db.models import Count, F, Q, Window

from chat_memory.admin.rows import rows
from chat_memory.admin.stored_size import fitting
from chat_memory.maintenance.sizes import bytes_of
from chat_memory.models import Message, Revision

FORMER = 200
"""A page shows at most this many former texts."""
FORMER_BYTES = 256 * 1024
"""A page loads at most this many bytes of former texts, but always one text."""


def former_within(where: Q, tenant: dict[str, int]) -> list[Revision]:
    """The newest revisions that fit into a page, newest first; ``number`` on each counts all of its message.

    The first query reads only sizes; the second one, if there are any, loads the texts that fit.
    """
    found = rows(Revision).filter(where, **tenant)
    number = Window(Count("id"), partition_by=[F("session_id"), F("seq")])
    newest = list(found.order_by("-id").values_list("id", bytes_of("content", "parts"), number)[:FORMER])
    if not newest:
        return []
    _first, last = fitting([size for _pk, size, _number in newest], 0, FORMER_BYTES)
    numbers = {pk: number_of_message for pk, _size, number_of_message in newest[: last + 1]}
    revisions = list(rows(Revision).filter(pk__in=numbers, **tenant).order_by("-id"))
    for revision in revisions:
        revision.number = numbers[revision.pk]  # type: ignore[attr-defined]  # as an annotation would
    return revisions


def former_of(message: Message, before: int | None = None) -> list[Revision]:
    """The newest revisions of one message that fit into a page; with ``before``, only those with a smaller id."""
    place = Q(session_id=message.session_id, seq=message.seq)
    older = place if before is None else place & Q(id__lt=before)
    return former_within(older, {"workspace_id": message.workspace_id})
