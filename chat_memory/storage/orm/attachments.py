"""Owns the part that keeps attachments: rows in Django's models, bytes in the storage ATTACHMENT_STORAGE."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import BinaryIO, cast

from django.core.files import File
from django.db import IntegrityError
from django.db.models import QuerySet

from chat_memory.exceptions import AttachmentNotFound, SessionNotFound
from chat_memory.models import Attachment as AttachmentRow, AttachmentReference, Session
from chat_memory.records import Address, Attachment
from chat_memory.storage.contract import HELD_SECONDS, AttachmentStore, Upload
from chat_memory.storage.orm import referring
from chat_memory.storage.orm.part import OrmPart
from chat_memory.storage.orm.rows import find, lock
from chat_memory.storage.orm.transactions import run_durably

_ADDED = "an attachment is added"


class OrmAttachments(OrmPart, AttachmentStore):
    """Attachments in Django's models and a storage of Django's."""

    def add(self, at: Address, upload: Upload) -> Attachment:
        """See ``AttachmentStore.add``; the row is committed before the file is written, and becomes ``ready`` after."""
        alias, storage = self._alias, referring.storage()
        row = run_durably(alias, lambda: _begun(alias, at, upload), what=_ADDED, at=at)
        if row.ready:
            if not storage.exists(row.file):  # for example if only the database was restored
                name = storage.save(row.file, File(upload.file))
                if not _own(alias, row).update(file=name):
                    storage.delete(name)
                    raise SessionNotFound(at.key, at.workspace)
            return _record(row)
        try:
            name = storage.save(row.file, File(upload.file))
        except BaseException:
            _given_up(alias, row)
            raise
        try:
            done = run_durably(alias, lambda: _finished(alias, at, row, name), what=_ADDED, at=at)
        except IntegrityError:  # another call has finished the same bytes meanwhile
            done = run_durably(alias, lambda: _finished(alias, at, row, name), what=_ADDED, at=at)
        if done is None or done.pk != row.pk:
            referring.discard(alias, [row.pk])
        if done is None:
            # The row may have been removed before the file was complete, so the file is deleted here.
            storage.delete(name)
            raise SessionNotFound(at.key, at.workspace)
        return _record(done)

    def find(self, at: Address, hashes: Collection[str] | None = None) -> list[Attachment]:
        """See ``AttachmentStore.find``: three statements."""
        rows = find(self._alias, at)
        if rows is None:
            return []
        reached = referring.reached(rows.root)
        if hashes is not None:
            reached = reached.filter(sha256__in=hashes)
        stored = referring.ready(self._alias, rows.root.workspace_id)
        return [_record(row) for row in stored.filter(sha256__in=reached.values("sha256")).order_by("created_at", "pk")]

    def open(self, at: Address, sha256: str) -> BinaryIO:
        """See ``AttachmentStore.open``."""
        rows = find(self._alias, at)
        if rows is not None and referring.reached(rows.root).filter(sha256=sha256).exists():
            stored = referring.ready(self._alias, rows.root.workspace_id).filter(sha256=sha256).first()
            if stored is not None:
                try:
                    return cast("BinaryIO", referring.storage().open(stored.file, "rb"))
                except FileNotFoundError as error:
                    raise AttachmentNotFound(at.key, sha256) from error
        raise AttachmentNotFound(at.key, sha256)


def _begun(alias: str, at: Address, upload: Upload) -> AttachmentRow:
    """The workspace's attachment with these bytes, held for the conversation; otherwise a new row for a file to write.

    Raises:
        SessionNotFound: there is no such session.
    """
    rows = lock(alias, at)
    if rows is None:
        raise SessionNotFound(at.key, at.workspace)
    workspace_id = rows.root.workspace_id
    known = referring.ready(alias, workspace_id).filter(sha256=upload.sha256).select_for_update().first()
    if known is not None:
        _hold(alias, rows.root, upload.sha256)
        return known
    return AttachmentRow.objects.using(alias).create(
        workspace_id=workspace_id,
        sha256=upload.sha256,
        size=upload.size,
        media_type=upload.media_type,
        created_at=datetime.now(UTC),
        # Not named by the hash: a name must not reveal the content, and workspaces and databases must not share files.
        file=f"chat_memory/{workspace_id}/{uuid.uuid4().hex}",
    )


def _finished(alias: str, at: Address, row: AttachmentRow, name: str) -> AttachmentRow | None:
    """Complete an attachment after its file was written; return its row, or that of another call that was faster.

    None where the session was removed meanwhile. If not the row itself is returned, its file has to be discarded.
    """
    rows = lock(alias, at)
    own = _own(alias, row)
    if rows is None:
        own.update(file=name, workspace=None)
        return None
    known = referring.ready(alias, rows.root.workspace_id).filter(sha256=row.sha256).select_for_update().first()
    if known is None and not own.update(file=name, ready=True):
        return None
    if known is not None:
        own.update(file=name, workspace=None)
    _hold(alias, rows.root, row.sha256)
    return known or row


def _given_up(alias: str, row: AttachmentRow) -> None:
    """Discard the row and the file of an attachment that could not be written."""
    _own(alias, row).update(workspace=None)
    referring.discard(alias, [row.pk])


def _own(alias: str, row: AttachmentRow) -> QuerySet[AttachmentRow]:
    """The stored row; empty if it was removed or has lost its workspace."""
    return AttachmentRow.objects.using(alias).filter(pk=row.pk, workspace_id=row.workspace_id or 0)


def _hold(alias: str, root: Session, sha256: str) -> None:
    """Keep an attachment for a future message."""
    AttachmentReference.objects.using(alias).update_or_create(
        workspace_id=root.workspace_id,
        session_id=root.pk,
        seq=0,
        sha256=sha256,
        defaults={"until": datetime.now(UTC) + timedelta(seconds=HELD_SECONDS)},
    )


def _record(row: AttachmentRow) -> Attachment:
    return Attachment(row.sha256, row.size, row.media_type, row.created_at)
