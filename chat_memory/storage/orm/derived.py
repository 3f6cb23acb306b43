"""Owns what was made of messages and goes when they change or go: a made title, summaries, and claims on summaries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC
from functools import reduce
from operator import or_
from uuid import UUID

from django.db import connections
from django.db.models import Q

from chat_memory.models import Message as MessageRow, Session, Summary
from chat_memory.records import Address, Message
from chat_memory.storage import titles
from chat_memory.storage.changed import Kind
from chat_memory.storage.mapping import READ_COLUMNS, to_messages
from chat_memory.storage.orm.emission import changed_row
from chat_memory.storage.orm.rows import move


def record_of(alias: str, stored: MessageRow) -> Message:
    """A row as the message it is."""
    zone = connections[alias].timezone or UTC
    (message,) = to_messages([[getattr(stored, name) for name in READ_COLUMNS]], zone)
    return message


def remade_title(alias: str, root: Session, stored: Iterable[MessageRow], after: Message | None) -> str | None:
    """The title that a conversation has now; None where it keeps its own.

    Args:
        alias: the database.
        root: of the conversation, locked.
        stored: the rows of the message as they were, the copies' too, which may say something else.
        after: the message as it is; None: it is gone.
    """
    for row in stored if root.title_made else ():
        before = record_of(alias, row)
        title = titles.remade(root.title, made=True, turn=row.turn, before=before, after=after)
        if title is not None:
            return title
    return None


def forget_summaries(alias: str, workspace_id: int, places: Mapping[UUID, int]) -> None:
    """Delete the summaries that cover a position of a row, and the claims on it: it says something else now.

    Args:
        alias: the database.
        workspace_id: of the rows.
        places: the position by the id of the row.
    """
    rows_at: defaultdict[int, list[UUID]] = defaultdict(list)
    for row_id, seq in places.items():
        rows_at[seq].append(row_id)
    covering = (Q(session_id__in=ids, first_seq__lte=seq, last_seq__gte=seq) for seq, ids in rows_at.items())
    Summary.objects.using(alias).filter(reduce(or_, covering), workspace_id=workspace_id).delete()


def set_title(alias: str, at: Address, root: Session, title: str, *, alone: bool, nested: bool) -> None:
    """Set a made title; ``alone``: nothing else of the locked root changes, so that its version moves by this."""
    if alone:
        header = move(root, title=title)
        changed_row(alias, Kind.UPDATED, at, root, header, fields=("title",), nested=nested)
    else:
        Session.objects.using(alias).filter(pk=root.pk, workspace_id=root.workspace_id).update(title=title)
