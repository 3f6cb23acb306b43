"""Owns the references of messages to attachments, and the deletion of files that nothing refers to any more.

References are written and deleted in the transaction of their messages, under the lock of the conversation. After the
commit an unused file is deleted in three steps: clear the workspace of its row, delete the file, delete the row. If the
process crashes in between, the row still exists, so a check or a cleanup continues from there.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import takewhile
from typing import NamedTuple
from uuid import UUID

from django.core.files.storage import FileSystemStorage, Storage, storages
from django.db import connections
from django.db.models import Exists, F, OuterRef, Q, QuerySet

from chat_memory.conf import settings
from chat_memory.exceptions import AttachmentNotFound, NotSupported
from chat_memory.models import Attachment, AttachmentReference, Session
from chat_memory.records import Message
from chat_memory.rules.attachments import hashes
from chat_memory.storage.orm.bulk import BATCH_SIZE, batches
from chat_memory.storage.orm.rows import family
from chat_memory.storage.orm.transactions import run_write
from chat_memory.storage.tenancy import across_workspaces

logger = logging.getLogger("chat_memory.storage")
Place = tuple[UUID, int]
"""The session row and the position of a message."""


class Lost(NamedTuple):
    """The attachments that lose references.

    Attributes:
        hashes: their hashes by the primary keys of workspaces.
        attachments: the primary keys of those that are stored.
    """

    hashes: Mapping[int, Sequence[str]]
    attachments: Sequence[int]


class Discarded(NamedTuple):
    """The result of ``discard``.

    Attributes:
        files: the number of deleted files.
        complete: whether the storage has not failed.
    """

    files: int
    complete: bool


def storage() -> Storage:
    """Where the files of attachments are: the alias ATTACHMENT_STORAGE of Django's STORAGES.

    Raises:
        InvalidStorageError: there is no such alias.
        NotSupported: its files would lie in the working directory.
    """
    found: Storage = storages[settings.attachment_storage]
    if isinstance(found, FileSystemStorage) and not found.base_location:
        lack = "keeps no attachments: MEDIA_ROOT is empty, so that they would lie beside the code"
        raise NotSupported("DjangoAdapter", "", f"{lack} (set it, or a location in STORAGES)")
    return found


def check_stored(alias: str, root: Session, messages: Iterable[Message]) -> None:
    """Check that a conversation reaches the attachments of messages, and lock these until the transaction ends.

    Raises:
        AttachmentNotFound: it does not, even if the workspace has the bytes.
    """
    wanted = hashes(message.content for message in messages)
    if not wanted:
        return
    locked = lock_stored(alias, root.workspace_id, wanted)
    known = reached(root).filter(sha256__in=locked).values_list("sha256", flat=True)
    missing = wanted - set(known)
    if missing:
        raise AttachmentNotFound(root.key, min(missing))


def lock_stored(alias: str, workspace_id: int, wanted: Collection[str]) -> set[str]:
    """Protect attachments of a workspace from removal until the transaction ends; return the hashes of those it has.

    The caller locks conversations before: all processes lock in the same order, so that two of them cannot deadlock.
    """
    locked: set[str] = set()
    for batch in batches(sorted(wanted)):
        rows = ready(alias, workspace_id).filter(sha256__in=batch)
        locked |= set(rows.order_by("sha256").select_for_update().values_list("sha256", flat=True))
    return locked


def reached(root: Session) -> QuerySet[AttachmentReference]:
    """The references of messages that any branch of a conversation shows, and those held for its future messages.

    A message that its own branch has cleared may still be shown by a branch that shares it.
    """
    rows = AttachmentReference.objects.using(root._state.db).filter(workspace_id=root.workspace_id)
    sharing = family(root).filter(
        parent_id=OuterRef("session_id"), fork_seq__gte=OuterRef("seq"), base_seq__lt=OuterRef("seq")
    )
    is_shown = Q(seq__gt=F("session__base_seq")) | Q(Exists(sharing), seq__gt=0)
    return rows.filter(is_shown | Q(until__gt=datetime.now(UTC)), session__in=family(root))


def refer(alias: str, workspace_id: int, root_id: UUID, contents: Mapping[Place, object]) -> None:
    """Store the references of messages, given by place, and delete those that held the attachments on the first row."""
    rows = [
        AttachmentReference(workspace_id=workspace_id, session_id=session_id, seq=seq, sha256=sha256)
        for (session_id, seq), content in contents.items()
        for sha256 in sorted(hashes([content]))
    ]
    if rows:
        AttachmentReference.objects.using(alias).bulk_create(rows, batch_size=BATCH_SIZE, ignore_conflicts=True)
        held = AttachmentReference.objects.using(alias).filter(workspace_id=workspace_id, session_id=root_id, seq=0)
        held.filter(sha256__in={row.sha256 for row in rows}).delete()


def ready(alias: str, workspace_id: int) -> QuerySet[Attachment]:
    """The complete attachments of a workspace."""
    return Attachment.objects.using(alias).filter(workspace_id=workspace_id, ready=True)


def referred_to(rows: QuerySet[AttachmentReference]) -> Lost:
    """The attachments of references that are about to be deleted; for ``removal.dependent``."""
    hashes_by_workspace: dict[int, list[str]] = {}
    for workspace_id, sha256 in rows.order_by().values_list("workspace_id", "sha256").distinct():
        hashes_by_workspace.setdefault(workspace_id, []).append(sha256)
    attachments = [
        pk
        for workspace_id, found in hashes_by_workspace.items()
        for batch in batches(found)
        for pk in ready(rows.db, workspace_id).filter(sha256__in=batch).values_list("pk", flat=True)
    ]
    return Lost(hashes_by_workspace, attachments)


def remove_unused(alias: str, lost: Lost) -> None:
    """Delete the files that lost a reference and now have none; called after the commit.

    Other files, which a storage failed to delete before, are left to a cleanup.
    """
    wanted = set(lost.attachments)  # if their workspace was deleted too, their rows have none by now
    for workspace_id, found in lost.hashes.items():
        for batch in batches(found):
            wanted.update(let_go(alias, workspace_id, batch))
    for some in batches(sorted(wanted)):
        if not discard(alias, some).complete:
            return


def let_go(alias: str, workspace_id: int, wanted: Collection[str]) -> list[int]:
    """Clear the workspace of attachments that nothing refers to; return their keys, for ``discard``."""

    def write(**_nested: bool) -> list[int]:
        rows = ready(alias, workspace_id).filter(sha256__in=wanted)
        if not connections[alias].features.has_select_for_update:
            rows.update(ready=True)  # on SQLite only a write takes the lock
        locked = list(rows.order_by("sha256").select_for_update())
        alive = Q(until=None) | Q(until__gt=datetime.now(UTC))
        kept = AttachmentReference.objects.using(alias).filter(alive, workspace_id=workspace_id, sha256__in=wanted)
        used = set(kept.values_list("sha256", flat=True))
        unused = [row.pk for row in locked if row.sha256 not in used]
        AttachmentReference.objects.using(alias).filter(
            workspace_id=workspace_id, sha256__in=[row.sha256 for row in locked if row.pk in unused]
        ).delete()
        ready(alias, workspace_id).filter(pk__in=unused).update(workspace=None, ready=False)
        return unused

    return run_write(alias, write)


def discard(alias: str, chosen: Collection[int] | None = None) -> Discarded:
    """Delete the files of attachments that have no workspace any more, then their rows.

    It stops at the first file that the storage fails to delete, because each further one may take as long to fail. The
    next call tries that file last, so that it does not block the others for ever.

    Args:
        alias: the database.
        chosen: the primary keys of a few attachments; None: all, for a cleanup.
    """
    done = 0
    while True:
        with across_workspaces():
            wanted = left(alias) if chosen is None else left(alias).filter(pk__in=chosen)
            rows = list(wanted.order_by("created_at", "pk")[:BATCH_SIZE])
        gone = [row.pk for row in takewhile(_removed, rows)]
        with across_workspaces():
            left(alias).filter(pk__in=gone).delete()
            if len(gone) < len(rows):
                left(alias).filter(pk=rows[len(gone)].pk).update(created_at=datetime.now(UTC))
        done += len(gone)
        if len(gone) < len(rows) or not rows:
            return Discarded(done, complete=not rows)


def left(alias: str) -> QuerySet[Attachment]:
    """The rows of files that are to be removed."""
    return Attachment.objects.using(alias).filter(workspace__isnull=True)


def _removed(row: Attachment) -> bool:
    """Delete the file of a row; False, with a warning in the log, if the storage fails."""
    try:
        storage().delete(row.file)
    except Exception as error:  # noqa: BLE001  # whatever the client of an object store raises
        logger.warning("An attachment's file could not be removed, and a cleanup will: %s", type(error).__name__)
        return False
    return True
