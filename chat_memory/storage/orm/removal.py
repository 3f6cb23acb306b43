"""Owns the one exit: the deletion of sessions and messages, with all rows that belong to them.

A table whose rows belong to a session or to a message is registered here, in the ``ready()`` of its app::

    from chat_memory.storage.orm.removal import dependent

    dependent(Note, by="session")
    dependent(Rating, by="message", before=names_of_files, after_commit=remove_files)

Every kind of deletion then deletes its rows too: ``delete()``, cleanup, the admin, the deletion of a workspace, and
Django's own cascade.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple
from uuid import UUID

from django.db import connections, transaction
from django.db.models import Exists, F, Model, OuterRef, Q, QuerySet, signals

from chat_memory.choices import CURRENT, MAIN_BRANCH, Role
from chat_memory.models import Message, MessageChange, Session, Summary, Tombstone, Workspace
from chat_memory.records import Address
from chat_memory.storage.changed import Changed, Kind
from chat_memory.storage.orm import hints
from chat_memory.storage.orm.bulk import BATCH_SIZE
from chat_memory.storage.orm.cursor import among
from chat_memory.storage.orm.derived import remade_title, set_title
from chat_memory.storage.orm.emission import emit_after_commit
from chat_memory.storage.orm.waiting import transaction_bounded
from chat_memory.storage.tenancy import across_workspaces

Before = Callable[[QuerySet[Any]], Any]
After = Callable[[str], None]
AfterCommit = Callable[[str, Any], None]


class Dependent(NamedTuple):
    """A table whose rows are deleted with a session or with a message.

    Attributes:
        model: has the columns ``session_id`` and, by message, ``seq``; or, by message, a foreign key ``message``.
        by: what its rows belong to.
        before: called in the transaction with the rows that are about to be deleted.
        after: called in the transaction with the database alias, after rows were deleted.
        after_commit: called after the commit with the database alias, and the result of ``before`` or, without
            ``before``, the number of deleted rows; never after a rollback.
        of_text: whether the rows are derived from a message's text, so that a change of the text deletes them too.
    """

    model: type[Model]
    by: Literal["session", "message"]
    before: Before | None = None
    after_commit: AfterCommit | None = None
    after: After | None = None
    of_text: bool = False

    def of_sessions(self, alias: str, sessions: Any, tenant: Mapping[str, int]) -> QuerySet[Any]:
        """The rows that are deleted with sessions."""
        column = "session_id__in" if self._has("session") else "message__session_id__in"
        own = tenant if self._has("workspace") else {}
        return self._rows(alias).filter(**{column: sessions}, **own)

    def of_messages(self, alias: str, messages: QuerySet[Message]) -> QuerySet[Any]:
        """The rows that are deleted with messages."""
        if not self._has("seq"):
            return self._rows(alias).filter(message__in=messages)
        same = messages.filter(session_id=OuterRef("session_id"), seq=OuterRef("seq"))
        return self._rows(alias).filter(Exists(same))

    @property
    def place(self) -> tuple[str, str, str] | None:
        """The names of its table and of its columns for session row and position; None where it lacks these columns."""
        fields = {each.attname: str(each.column) for each in self.model._meta.concrete_fields}
        if not {"session_id", "seq"} <= fields.keys():
            return None
        return self.model._meta.db_table, fields["session_id"], fields["seq"]

    def at(self, alias: str, session_id: UUID, seq: int) -> QuerySet[Any]:
        """The rows that belong to the message at a position of a session row."""
        return self._rows(alias).filter(session_id=session_id, seq=seq)

    def remove(self, alias: str, rows: QuerySet[Any]) -> None:
        """Delete some of its rows, and call the functions that were registered with it."""
        # A table of another app may have no workspace column; its rows are found by keys from one tenant's rows.
        with nullcontext() if self._has("workspace") else across_workspaces():
            kept = self.before(rows) if self.before else None
            removed: Any = rows.delete()[0] if _needs_collector(self.model) else rows._raw_delete(alias)
        if self.after is not None and removed:
            self.after(alias)
        if self.after_commit is not None:
            tell, told = self.after_commit, removed if self.before is None else kept
            # No partial: Django 5.2 logs the error of a hook by its __qualname__, which a partial lacks.
            transaction.on_commit(lambda: tell(alias, told), using=alias, robust=True)

    def _rows(self, alias: str) -> QuerySet[Any]:
        return self.model._default_manager.using(alias)

    def _has(self, field: str) -> bool:
        return any(own.name == field or own.attname == f"{field}_id" for own in self.model._meta.concrete_fields)


class Leaving(NamedTuple):
    """A session row that is about to be deleted: a conversation's first row, or a branch."""

    id: UUID
    workspace_id: int
    key: str
    branch: str
    parent_id: UUID | None


_dependents: dict[type[Model], Dependent] = {}
_leaving: ContextVar[bool] = ContextVar("chat_memory_leaving", default=False)
"""Whether this module itself calls Django's ``delete()``, so that the receiver of its signal has nothing to do."""


def dependent(
    model: type[Model],
    by: Literal["session", "message"] = "session",
    *,
    before: Before | None = None,
    after_commit: AfterCommit | None = None,
    after: After | None = None,
    of_text: bool = False,
) -> None:
    """Register a table whose rows are deleted with a session or with a message; see ``Dependent``."""
    _dependents[model] = Dependent(model, by, before, after_commit, after, of_text)


def connect() -> None:
    """Connect the receiver for Django's own ``delete()`` of sessions; called once, by ``AppConfig.ready()``."""
    signals.pre_delete.connect(_on_django_delete, sender=Session, weak=False, dispatch_uid=_on_django_delete)


def leaving(sessions: QuerySet[Session]) -> list[Leaving]:
    """Sessions as ``remove_sessions`` takes them."""
    return [Leaving(*columns) for columns in sessions.values_list(*Leaving._fields)]


def remove_sessions(alias: str, batch: Collection[Leaving], **tenant: int) -> int:
    """Delete locked sessions, branches included, with all that belongs to them; return the number of deleted messages.

    If only registered tables refer to them, they are deleted without Django's ``delete()``, which would load every row.
    """
    sessions = among(alias, [row.id for row in batch])
    rows = Session.objects.using(alias).filter(pk__in=sessions, **tenant)
    messages = Message.objects.using(alias).filter(session_id__in=sessions, **tenant)
    for each in _dependents.values():
        each.remove(alias, each.of_sessions(alias, sessions, tenant))
    if _needs_collector(Message) or _needs_collector(Session):
        count = messages.count()
        with _by_django():
            messages.delete()
            rows.delete()
    else:
        count = messages._raw_delete(alias)
        rows._raw_delete(alias)
    _remember(alias, batch)
    owners = Workspace.objects.using(alias).filter(pk__in={row.workspace_id for row in batch})
    slugs = dict(owners.values_list("pk", "slug"))
    _tell(alias, batch, slugs, alone=_alone(batch))
    return count


def remove_messages(alias: str, messages: QuerySet[Message]) -> int:
    """Delete messages of locked sessions with all that belongs to them; return the number of deleted messages."""
    for each in _dependents.values():
        if each.by == "message":
            each.remove(alias, each.of_messages(alias, messages))
    if _needs_collector(Message):
        count = messages.count()
        with _by_django():
            messages.delete()
        return count
    removed: int = messages._raw_delete(alias)
    return removed


def remove_from(alias: str, model: type[Model], where: Q, workspace_id: int) -> None:
    """Delete rows of one of our registered tables whose messages stay, and call its registered functions."""
    rows = model._default_manager.using(alias).filter(where, workspace_id=workspace_id)
    _dependents[model].remove(alias, rows)


def remove_made_of(alias: str, where: Q, workspace_id: int) -> None:
    """Delete the rows that are derived from the texts of messages; ``where`` is a condition on the messages' places.

    For callers that change these texts, under the lock of the conversation.
    """
    for each in _dependents.values():
        if each.of_text:
            remove_from(alias, each.model, where, workspace_id)


def others_by_place() -> tuple[Dependent, ...] | None:
    """The registered tables of messages that code must handle if it deletes a message by a statement of its own.

    They are the tables of other apps, and those of ours with ``after_commit``.

    None where Django has to delete the message, or one of these tables has no columns for session row and position.
    """
    ours = Message._meta.app_label
    by_message = [each for each in _dependents.values() if each.by == "message"]
    found = tuple(each for each in by_message if each.after_commit or each.model._meta.app_label != ours)
    return found if all(each.place for each in found) and not _needs_collector(Message) else None


def _empty_titles(alias: str, leaving: QuerySet[Message]) -> None:
    """Empty the titles that were made from messages that are about to be deleted, of locked sessions that stay."""
    titled = leaving.filter(turn=1, role=Role.USER.value, session__title_made=True, session__branch=MAIN_BRANCH)
    for message in titled.select_related("session__workspace"):
        root = message.session
        title = remade_title(alias, root, [message], None)
        if title is not None:
            at = Address(root.workspace.slug, root.key, MAIN_BRANCH)
            set_title(alias, at, root, title, alone=True, nested=False)


def remove_cleared(alias: str, sessions: Any) -> int:
    """Delete the messages that ``clear()`` has hidden in locked sessions, and titles made from them; return a count."""
    hidden = Message.objects.using(alias).filter(session_id__in=sessions, seq__lte=F("session__base_seq"))
    _empty_titles(alias, hidden)
    count = remove_messages(alias, hidden)
    covered = Summary.objects.using(alias).filter(session_id__in=sessions, last_seq__lte=F("session__base_seq"))
    covered._raw_delete(alias)
    return count


def remove_workspace(alias: str, workspace_id: int) -> int:
    """Delete a workspace with all its conversations, in one transaction; return the number of deleted messages.

    Raises:
        Busy: another transaction held a lock on a part of it for too long; nothing was deleted.
    """
    count = 0
    with transaction_bounded(alias):
        workspace = Workspace.objects.using(alias).filter(pk=workspace_id)
        workspace.select_for_update().first()  # no session can be added from here on
        sessions = Session.objects.using(alias).filter(workspace_id=workspace_id).order_by("pk")
        while batch := leaving(sessions.select_for_update()[:BATCH_SIZE]):
            count += remove_sessions(alias, batch, workspace_id=workspace_id)
        with _by_django():
            workspace.delete()
    return count


def _on_django_delete(instance: Session, using: str, origin: Any = None, **_signal: Any) -> None:
    """Delete what belongs to a session that Django's ``delete()``, or its cascade, is about to delete."""
    if _leaving.get():
        return
    with across_workspaces():
        _hold_root(instance, using)
        for each in _dependents.values():
            each.remove(using, each.of_sessions(using, [instance.pk], {}))
        row = Leaving(*(getattr(instance, name) for name in Leaving._fields))
        slugs = {row.workspace_id: instance.workspace.slug}
        _remember(using, [row])
        _tell(using, [row], slugs, alone={row.id} if row.parent_id and origin is instance else ())


def _hold_root(session: Session, alias: str) -> None:
    """Lock the root of a conversation, as every writer does, so that nobody adds rows to it until it is deleted.

    SQLite needs no lock here: it has one writer, which is the transaction that deletes.
    """
    if connections[alias].features.has_select_for_update:
        rows = Session.objects.using(alias).filter(workspace_id=session.workspace_id, key=session.key)
        rows.filter(branch=MAIN_BRANCH).order_by().select_for_update(no_key=True).first()


@contextmanager
def _by_django() -> Iterator[None]:
    """Let Django's collector delete; its queries have no workspace predicate, but only keys from one tenant's rows."""
    before = _leaving.set(True)
    try:
        with across_workspaces():
            yield
    finally:
        _leaving.reset(before)


def _needs_collector(model: type[Model]) -> bool:
    """Whether a table that is not registered here refers to this one, or a receiver listens to its deletion."""
    related = (field.related_model for field in model._meta.related_objects)
    ours = model._meta.app_label
    return _is_watched(model) or any(other._meta.app_label != ours and other not in _dependents for other in related)


def _is_watched(model: type[Model]) -> bool:
    """Whether a receiver other than ours is connected; a signal's receivers are kept by (receiver, sender) ids."""
    return any(
        key[0] is not _on_django_delete and key[1] in (id(None), id(model))
        for signal in (signals.pre_delete, signals.post_delete)
        for key, *_rest in signal.receivers or ()
    )


def _alone(batch: Collection[Leaving]) -> set[UUID]:
    """The branches in the batch whose parents stay; most batches have no branch at all."""
    branches = [row for row in batch if row.parent_id]
    ids = {row.id for row in batch} if branches else set()
    return {row.id for row in branches if row.parent_id not in ids}


def _remember(alias: str, batch: Iterable[Leaving]) -> None:
    """Store the ids of deleted conversations, for syncing readers of lists (``listed_changes``)."""
    now = datetime.now(UTC)
    stones = [
        Tombstone(workspace_id=row.workspace_id, session_id=row.id, gone_at=now) for row in batch if not row.parent_id
    ]
    Tombstone.objects.using(alias).bulk_create(stones)


def remove_notes(alias: str, before: datetime, tenant: Mapping[str, Any]) -> None:
    """Delete tombstones and recorded changes of messages from before a time, but not the last change of a conversation.

    The last change is needed to check whether a reader's cursor fits.
    """
    Tombstone.objects.using(alias).filter(gone_at__lt=before, **tenant)._raw_delete(alias)
    later = MessageChange.objects.filter(session_id=OuterRef("session_id"), number__gt=OuterRef("number"))
    old = MessageChange.objects.using(alias).filter(changed_at__lt=before, **tenant)
    old.filter(Exists(later))._raw_delete(alias)


def _tell(alias: str, batch: Iterable[Leaving], slugs: Mapping[int, str], *, alone: Container[UUID]) -> None:
    """Emit the deletion of each row; a branch that is deleted without its parent was addressed by its name."""
    for row in batch:
        hints.forget(alias, Address(slugs[row.workspace_id], row.key))
    events = (
        Changed(
            kind=Kind.DELETED,
            workspace=slugs[row.workspace_id],
            key=row.key,
            session_id=row.id,
            branch=row.branch,
            asked=row.branch if row.id in alone else CURRENT,
            using=alias,
        )
        for row in batch
    )
    emit_after_commit(alias, *events)
