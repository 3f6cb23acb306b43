"""Owns the one exit: nothing else deletes sessions or messages, whoever decides that they go.

What hangs on a session or on a message registers here, in the ``ready()`` of its app::

    from chat_memory.storage.orm.removal import dependent

    dependent(Note, by="session")
    dependent(Rating, by="message", before=names_of_files, after_commit=remove_files)

It is then emptied by every way out: ``delete()``, cleanup, the admin, the end of a workspace, and Django's own cascade.
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
    """A table whose rows go with a session or with a message.

    Attributes:
        model: has the columns ``session_id`` and, by message, ``seq``; or, by message, a foreign key ``message``.
        by: what its rows hang on.
        before: called in the transaction with the rows that are about to go.
        after: called in the transaction with the database alias, once they are gone.
        after_commit: called once they are gone with the database alias, and what ``before`` returned or else how many
            rows went; never after a rollback.
        of_text: whether they are made of what a message says, so that they go too when it says something else.
    """

    model: type[Model]
    by: Literal["session", "message"]
    before: Before | None = None
    after_commit: AfterCommit | None = None
    after: After | None = None
    of_text: bool = False

    def of_sessions(self, alias: str, sessions: Any, tenant: Mapping[str, int]) -> QuerySet[Any]:
        """The rows that go with sessions."""
        column = "session_id__in" if self._has("session") else "message__session_id__in"
        own = tenant if self._has("workspace") else {}
        return self._rows(alias).filter(**{column: sessions}, **own)

    def of_messages(self, alias: str, messages: QuerySet[Message]) -> QuerySet[Any]:
        """The rows that go with messages."""
        if not self._has("seq"):
            return self._rows(alias).filter(message__in=messages)
        same = messages.filter(session_id=OuterRef("session_id"), seq=OuterRef("seq"))
        return self._rows(alias).filter(Exists(same))

    @property
    def place(self) -> tuple[str, str, str] | None:
        """The names of its table and of the columns that say of which message a row is; None where it has none."""
        fields = {each.attname: str(each.column) for each in self.model._meta.concrete_fields}
        if not {"session_id", "seq"} <= fields.keys():
            return None
        return self.model._meta.db_table, fields["session_id"], fields["seq"]

    def at(self, alias: str, session_id: UUID, seq: int) -> QuerySet[Any]:
        """The rows that hang on the message at a position of a row."""
        return self._rows(alias).filter(session_id=session_id, seq=seq)

    def remove(self, alias: str, rows: QuerySet[Any]) -> None:
        """Delete some of its rows, and tell its owner after the commit."""
        # A table of another app need not know workspaces: its rows go by their keys, which one tenant's rows gave.
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
    """A session's row that is about to go: a conversation's first one, or a branch."""

    id: UUID
    workspace_id: int
    key: str
    branch: str
    parent_id: UUID | None


_dependents: dict[type[Model], Dependent] = {}
_leaving: ContextVar[bool] = ContextVar("chat_memory_leaving", default=False)
"""Whether the exit itself asks Django to delete, so that Django's signal tells nothing new."""


def dependent(
    model: type[Model],
    by: Literal["session", "message"] = "session",
    *,
    before: Before | None = None,
    after_commit: AfterCommit | None = None,
    after: After | None = None,
    of_text: bool = False,
) -> None:
    """Register a table whose rows go with a session or with a message; see ``Dependent``."""
    _dependents[model] = Dependent(model, by, before, after_commit, after, of_text)


def connect() -> None:
    """Be told of what Django's own ``delete()`` takes; called once, by ``AppConfig.ready()``."""
    signals.pre_delete.connect(_on_django_delete, sender=Session, weak=False, dispatch_uid=_on_django_delete)


def leaving(sessions: QuerySet[Session]) -> list[Leaving]:
    """Sessions as ``remove_sessions`` takes them."""
    return [Leaving(*columns) for columns in sessions.values_list(*Leaving._fields)]


def remove_sessions(alias: str, batch: Collection[Leaving], **tenant: int) -> int:
    """Delete locked sessions, branches included, with all that hangs on them; how many messages went.

    Straight in the database where only registered tables refer to them: Django's ``delete()`` would load every row.
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
    """Delete messages of locked sessions with all that hangs on them; how many went."""
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
    """Delete rows of a registered table of ours whose messages stay, and tell its owner after the commit."""
    rows = model._default_manager.using(alias).filter(where, workspace_id=workspace_id)
    _dependents[model].remove(alias, rows)


def remove_made_of(alias: str, where: Q, workspace_id: int) -> None:
    """Delete what was made of the texts of messages, given by a condition on their places, in the tables of sub-apps.

    For who changes what they say, under the lock of their conversation.
    """
    for each in _dependents.values():
        if each.of_text:
            remove_from(alias, each.model, where, workspace_id)


def others_by_place() -> tuple[Dependent, ...] | None:
    """The tables whose rows hang on messages by row and position, for who deletes a message itself.

    Those of other apps, and those of ours whose owner is told.

    None where Django has to delete it, or a row hangs on it otherwise.
    """
    ours = Message._meta.app_label
    by_message = [each for each in _dependents.values() if each.by == "message"]
    found = tuple(each for each in by_message if each.after_commit or each.model._meta.app_label != ours)
    return found if all(each.place for each in found) and not _needs_collector(Message) else None


def _empty_titles(alias: str, leaving: QuerySet[Message]) -> None:
    """Empty the titles that were made of messages that are about to go, of locked sessions that stay."""
    titled = leaving.filter(turn=1, role=Role.USER.value, session__title_made=True, session__branch=MAIN_BRANCH)
    for message in titled.select_related("session__workspace"):
        root = message.session
        title = remade_title(alias, root, [message], None)
        if title is not None:
            at = Address(root.workspace.slug, root.key, MAIN_BRANCH)
            set_title(alias, at, root, title, alone=True, nested=False)


def remove_cleared(alias: str, sessions: Any) -> int:
    """Delete what ``clear()`` has hidden in locked sessions; how many messages went. A title made of one is emptied."""
    hidden = Message.objects.using(alias).filter(session_id__in=sessions, seq__lte=F("session__base_seq"))
    _empty_titles(alias, hidden)
    count = remove_messages(alias, hidden)
    covered = Summary.objects.using(alias).filter(session_id__in=sessions, last_seq__lte=F("session__base_seq"))
    covered._raw_delete(alias)
    return count


def remove_workspace(alias: str, workspace_id: int) -> int:
    """Delete a workspace with all its conversations, in one transaction; how many messages went.

    Raises:
        Busy: somebody else held a lock on a part of it for too long; nothing went.
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
    """A session is about to go by Django's ``delete()``, or by its cascade: what hangs on it goes with it."""
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
    """Hold the root of a conversation as every writer does: until its rows are gone, nobody adds to what hangs on it.

    SQLite has one writer, and whoever deletes is it.
    """
    if connections[alias].features.has_select_for_update:
        rows = Session.objects.using(alias).filter(workspace_id=session.workspace_id, key=session.key)
        rows.filter(branch=MAIN_BRANCH).order_by().select_for_update(no_key=True).first()


@contextmanager
def _by_django() -> Iterator[None]:
    """Let Django's collector delete; it asks by the keys it was given, which one tenant's rows gave."""
    before = _leaving.set(True)
    try:
        with across_workspaces():
            yield
    finally:
        _leaving.reset(before)


def _needs_collector(model: type[Model]) -> bool:
    """Whether a table that is not registered here refers to this one, or somebody listens to its deletion."""
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
    """The branches whose parents stay; most batches have no branch at all."""
    branches = [row for row in batch if row.parent_id]
    ids = {row.id for row in batch} if branches else set()
    return {row.id for row in branches if row.parent_id not in ids}


def _remember(alias: str, batch: Iterable[Leaving]) -> None:
    """Note the ids of conversations that are gone, for readers of lists (``listed_changes``)."""
    now = datetime.now(UTC)
    stones = [
        Tombstone(workspace_id=row.workspace_id, session_id=row.id, gone_at=now) for row in batch if not row.parent_id
    ]
    Tombstone.objects.using(alias).bulk_create(stones)


def remove_notes(alias: str, before: datetime, tenant: Mapping[str, Any]) -> None:
    """Forget what went and what changed before a time; of each conversation the last change of a message stays noted.

    By that one a reader's cursor is seen to fit.
    """
    Tombstone.objects.using(alias).filter(gone_at__lt=before, **tenant)._raw_delete(alias)
    later = MessageChange.objects.filter(session_id=OuterRef("session_id"), number__gt=OuterRef("number"))
    old = MessageChange.objects.using(alias).filter(changed_at__lt=before, **tenant)
    old.filter(Exists(later))._raw_delete(alias)


def _tell(alias: str, batch: Iterable[Leaving], slugs: Mapping[int, str], *, alone: Container[UUID]) -> None:
    """Emit the ends of branches; one that goes alone was asked for by its name."""
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
