"""Owns the storing of embeddings: which messages need one, that it matches the present text, and what is stale."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec
from django.db import connections
from django.db.models import Count, Exists, F, Max, OuterRef, Q, QuerySet

from chat_memory.choices import State
from chat_memory.models import Message, Session, Workspace
from chat_memory.storage.contract import Unembedded, Vector
from chat_memory.storage.orm.cursor import as_uuid, fetch
from chat_memory.storage.orm.rows import hold
from chat_memory.storage.orm.transactions import run_write
from chat_memory.storage.tenancy import across_workspaces
from chat_memory.vectors import statements
from chat_memory.vectors.models import Embedding, stored

AT_ONCE = 5_000
"""The number of positions searched at a time for messages without an embedding."""
Place = tuple[UUID, int]
Pair = tuple[Unembedded, Vector]
Conversation = tuple[int, str]


def missing(alias: str, model: str, workspace: str | None) -> int:
    """See ``VectorStore.missing``."""
    with across_workspaces():
        return _lacking(alias, model, workspace).count()


def newest(alias: str) -> int:
    """See ``VectorStore.newest``."""
    with across_workspaces():
        found: int | None = Message.objects.using(alias).aggregate(newest=Max("pk"))["newest"]
    return found or 0


def unembedded(
    alias: str, model: str, workspace: str | None, *, after: Place | None, until: int | None, size: int
) -> list[Unembedded]:
    """See ``VectorStore.unembedded_anywhere``."""
    rows = _lacking(alias, model, workspace)
    if until is not None:
        rows = rows.filter(pk__lte=until)
    if after is not None:
        behind = Q(session_id=after[0], seq__gt=after[1]) | Q(session_id__gt=after[0])
        rows = rows.filter(behind, session_id__gte=after[0])  # the latter lets the database start inside the index
    with across_workspaces():
        columns = rows.order_by("session_id", "seq").values_list("pk", "workspace_id", "session__key")[:size]
        conversations = {pk: (workspace_id, key) for pk, workspace_id, key in columns}
    found = _said(alias, conversations)
    return sorted(found.values(), key=lambda each: (each.session_id.bytes, each.seq))


def unembedded_of_branch(alias: str, shown: Mapping[str, Any], last: int, size: int) -> list[tuple[Any, ...]]:
    """The first messages without an embedding that a branch shows up to a position, as rows.

    They are searched a range at a time: a statement over all of a long conversation would read it again for each batch.
    """
    connection, found = connections[alias], list[tuple[Any, ...]]()
    statement = statements.unembedded(connection.vendor)
    for after in range(shown["after"], last, AT_ONCE):
        params = {**shown, "after": after, "until": after + AT_ONCE, "size": size - len(found)}
        found += fetch(connection, statement, params)
        if len(found) == size:
            break
    return found


def keep(alias: str, model: str, pairs: Sequence[Pair], *, wait: bool) -> int:
    """See ``VectorStore.keep``.

    The conversations are locked while their messages are read, as in every write that changes or removes a message. So
    an embedding is never of a former text, and none is added after its message was removed.
    """

    def write(*, nested: bool) -> int:  # noqa: ARG001  # the contract of run_write
        held = hold(alias, {(*each.conversation, each.session_id) for each, _vector in pairs}, wait=wait)
        conversations = {each.message: each.conversation for each, _vector in pairs if each.session_id in held}
        present = _said(alias, conversations)
        _put(alias, model, [pair for pair in pairs if present.get(pair[0].message) == pair[0]])
        return 0 if wait else sum(each.session_id not in held for each, _vector in pairs)

    return run_write(alias, write, whole=True)


def faults(alias: str, rows: Collection[UUID], *, repair: bool) -> dict[UUID, str]:
    """See ``VectorStore.faults``."""
    with across_workspaces():
        lost = _lost(alias, rows)
        found = dict(lost.values_list("session_id").annotate(number=Count("pk")))
        if found and repair:
            _remove(alias, lost)
    return {row: f"has {number} of no message" for row, number in found.items()}


def strays(alias: str, workspace: str | None, *, repair: bool) -> int:
    """See ``VectorStore.strays``."""
    gone = ~Exists(Session.objects.using(alias).filter(pk=OuterRef("session_id")))
    rows = _embeddings(alias).filter(gone)
    if workspace is not None:
        rows = rows.filter(workspace_id__in=Workspace.objects.using(alias).filter(slug=workspace).values("pk"))
    with across_workspaces():
        return _remove(alias, rows) if repair else rows.count()


def ids(vendor: str, numbers: Iterable[int]) -> Any:
    """Ids in the form that the statements take."""
    return list(numbers) if vendor == "postgresql" else msgspec.json.encode(list(numbers)).decode()


def unembedded_of(row: Sequence[Any], conversation: Conversation) -> Unembedded:
    """A message from a row of a statement; a blank text becomes ""."""
    message, session_id, seq, text = row
    return Unembedded(message, as_uuid(session_id), seq, conversation, text if text.strip() else "")


def _embeddings(alias: str) -> QuerySet[Embedding]:
    return Embedding._default_manager.using(alias)


def _lacking(alias: str, model: str, workspace: str | None) -> QuerySet[Message]:
    """The messages that need an embedding; not those that ``clear()`` has hidden, as they cannot be found."""
    messages = Message.objects.using(alias).filter(Q(parts__isnull=False) | ~Q(content="") & Q(content__isnull=False))
    messages = messages.exclude(state=State.REDACTED.value).filter(session__deleted_at__isnull=True)
    if workspace is not None:
        messages = messages.filter(workspace__slug=workspace)
    own = _embeddings(alias).filter(session_id=OuterRef("session_id"), seq=OuterRef("seq"), model=model)
    return messages.filter(~Exists(own), seq__gt=F("session__base_seq")).order_by()


def _said(alias: str, conversations: dict[int, Conversation]) -> dict[int, Unembedded]:
    """The present texts of messages, by their ids; messages without content are left out."""
    connection = connections[alias]
    by_workspace: defaultdict[int, list[int]] = defaultdict(list)
    for message, (workspace_id, _key) in conversations.items():
        by_workspace[workspace_id].append(message)
    found: dict[int, Unembedded] = {}
    for workspace_id, messages in by_workspace.items():
        params = {"workspace_id": workspace_id, "ids": ids(connection.vendor, messages)}
        for row in fetch(connection, statements.texts(connection.vendor), params):
            found[row[0]] = unembedded_of(row, conversations[row[0]])
    return found


def _put(alias: str, model: str, pairs: Sequence[Pair]) -> None:
    connection = connections[alias]
    field: Any = Session._meta.pk
    rows = [
        (
            each.message,
            each.conversation[0],
            field.get_db_prep_value(each.session_id, connection),
            each.seq,
            model,
            len(vector),
            stored(connection.vendor, vector),
        )
        for each, vector in pairs
    ]
    if rows:
        with connection.cursor() as cursor:
            cursor.executemany(statements.keep(connection.vendor), rows)


def _lost(alias: str, rows: Collection[UUID]) -> QuerySet[Embedding]:
    """The embeddings of session rows whose message does not exist, is at another place, or was redacted."""
    same = Message.objects.using(alias).filter(
        pk=OuterRef("message_id"), session_id=OuterRef("session_id"), seq=OuterRef("seq")
    )
    said = same.exclude(state=State.REDACTED.value)
    return _embeddings(alias).filter(~Exists(said), session_id__in=rows).order_by()


def _remove(alias: str, rows: QuerySet[Embedding]) -> int:
    def write(*, nested: bool) -> int:  # noqa: ARG001  # the contract of run_write
        return int(rows._raw_delete(alias))

    return run_write(alias, write, whole=True)
