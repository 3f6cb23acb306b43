"""Owns the update of what is derived from messages when they change: the automatic title, summaries and claims."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC
from functools import reduce
from operator import or_
from uuid import UUID

from django.db import connections
from django.db.models import Q

from chat_memory.choices import Role
from chat_memory.models import Message as MessageRow, Session, Summary
from chat_memory.records import Address, Message
from chat_memory.storage import titles
from chat_memory.storage.changed import Kind
from chat_memory.storage.mapping import READ_COLUMNS, to_messages
from chat_memory.storage.orm.emission import changed_row
from chat_memory.storage.orm.rows import family, move


def record_of(alias: str, stored: MessageRow) -> Message:
    """The message of a row."""
    zone = connections[alias].timezone or UTC
    (message,) = to_messages([[getattr(stored, name) for name in READ_COLUMNS]], zone)
    return message


def remade_title(alias: str, root: Session, stored: Iterable[MessageRow], after: Message | None) -> str | None:
    """The new automatic title of a conversation after a message has changed; None if the title stays.

    Args:
        alias: the database.
        root: the locked root of the conversation.
        stored: the rows of the message and of its copies before the change; the copies may have another content.
        after: the message after the change; None: it was removed.
    """
    for row in stored if root.title_made else ():
        before = record_of(alias, row)
        title = titles.remade(root.title, made=True, turn=row.turn, before=before, after=after)
        if title is not None:
            return title
    return None


def empty_title_of_branch(alias: str, at: Address, root: Session, row: Session, *, nested: bool) -> None:
    """Empty a title that was made of a message of a branch that is about to go, where no other branch has one alike.

    Both rows are locked.
    """
    if not (root.title_made and root.title):
        return
    begun = MessageRow.objects.using(alias).filter(workspace_id=root.workspace_id, turn=1, role=Role.USER.value)
    others = begun.filter(session__in=family(root)).exclude(session_id=row.pk)
    own = (record_of(alias, stored) for stored in begun.filter(session_id=row.pk))
    if titles.gives(own, root.title) and not titles.gives((record_of(alias, each) for each in others), root.title):
        set_title(alias, at, root, "", alone=True, nested=nested)


def forget_summaries(alias: str, workspace_id: int, places: Mapping[UUID, int]) -> None:
    """Delete the summaries and claims that cover a position of a row, because the message there has changed.

    Args:
        alias: the database.
        workspace_id: the workspace of the rows.
        places: the positions by the ids of the rows.
    """
    rows_at: defaultdict[int, list[UUID]] = defaultdict(list)
    for row_id, seq in places.items():
        rows_at[seq].append(row_id)
    covering = (Q(session_id__in=ids, first_seq__lte=seq, last_seq__gte=seq) for seq, ids in rows_at.items())
    Summary.objects.using(alias).filter(reduce(or_, covering), workspace_id=workspace_id).delete()


def set_title(alias: str, at: Address, root: Session, title: str, *, alone: bool, nested: bool) -> None:
    """Set an automatic title; ``alone``: nothing else changes the locked root, so its version has to move here."""
    if alone:
        header = move(root, title=title)
        changed_row(alias, Kind.UPDATED, at, root, header, fields=("title",), nested=nested)
    else:
        Session.objects.using(alias).filter(pk=root.pk, workspace_id=root.workspace_id).update(title=title)
