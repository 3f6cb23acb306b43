"""Owns attachments that nothing refers to: interrupted uploads and removals, and uploads never used in time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import Exists, OuterRef, Q, QuerySet

from chat_memory.models import Attachment, AttachmentReference
from chat_memory.storage.contract import HELD_SECONDS
from chat_memory.storage.orm import referring
from chat_memory.storage.tenancy import across_workspaces

BATCH_SIZE = 500


class Trouble(NamedTuple):
    """An attachment that is not as it should be.

    Attributes:
        workspace: the slug; "" where the workspace is gone.
        name: the file in the storage, or else the hash.
        detail: what is wrong, in words.
        repairable: whether ``remove`` repairs it.
    """

    workspace: str
    name: str
    detail: str
    repairable: bool


def remove(alias: str, chosen: Mapping[str, Any] | None = None) -> int:
    """Remove the files that nothing refers to: of interrupted uploads and removals, and of uploads never used.

    An error of the storage ends the call; the next call continues.

    Args:
        alias: the database.
        chosen: the condition for rows of one workspace; None: all workspaces.
    """
    within = chosen or {}
    with across_workspaces():
        _lapsed(alias).filter(**within).delete()
        _begun(alias).filter(**within).update(workspace=None)
        unused = list(_unused(alias).filter(**within).values_list("workspace_id", "sha256"))
    for workspace_id, sha256 in unused:
        referring.let_go(alias, workspace_id, [sha256])
    return referring.discard(alias).files


def troubles(alias: str, chosen: Mapping[str, Any]) -> Iterator[Trouble]:
    """The faults that a check finds, a batch of rows at a time; the storage is asked for each file."""
    of_a_workspace = bool(chosen)
    with across_workspaces():
        begun = list(_begun(alias).filter(**chosen).values_list("workspace__slug", "file"))
        unused = list(_unused(alias).filter(**chosen).values_list("workspace__slug", "file"))
        left = [] if of_a_workspace else list(referring.left(alias).values_list("file", flat=True))
    yield from (Trouble(slug, name, "is of an upload that was broken off", True) for slug, name in begun)
    yield from (Trouble(slug, name, "is referred to by no message", True) for slug, name in unused)
    yield from (Trouble("", name, "was to be removed, and is not yet", True) for name in left)
    yield from _without_files(alias, chosen)
    yield from _without_rows(alias, chosen)


def _without_files(alias: str, chosen: Mapping[str, Any]) -> Iterator[Trouble]:
    behind = 0
    while True:
        with across_workspaces():
            rows = Attachment.objects.using(alias).filter(ready=True, pk__gt=behind, **chosen).order_by("pk")
            page = list(rows.values_list("pk", "workspace__slug", "file")[:BATCH_SIZE])
        if not page:
            return
        behind = page[-1][0]
        for _pk, slug, name in page:
            if not referring.storage().exists(name):
                yield Trouble(slug, name, "has no file in the storage", False)


def _without_rows(alias: str, chosen: Mapping[str, Any]) -> Iterator[Trouble]:
    stored = Attachment.objects.filter(workspace_id=OuterRef("workspace_id"), sha256=OuterRef("sha256"), ready=True)
    with across_workspaces():
        rows = AttachmentReference.objects.using(alias).filter(~Exists(stored), **chosen).order_by()
        missing = list(rows.values_list("workspace__slug", "sha256").distinct()[:BATCH_SIZE])
    yield from (Trouble(slug, sha256, "is referred to by messages, and not stored", False) for slug, sha256 in missing)


def _begun(alias: str) -> QuerySet[Attachment]:
    """Uploads that began too long ago to be still running."""
    before = datetime.now(UTC) - timedelta(seconds=HELD_SECONDS)
    return Attachment.objects.using(alias).filter(ready=False, workspace__isnull=False, created_at__lt=before)


def _unused(alias: str) -> QuerySet[Attachment]:
    """Complete attachments that no message refers to, and that are not reserved for a message to come."""
    alive = Q(until=None) | Q(until__gt=datetime.now(UTC))
    same = {"workspace_id": OuterRef("workspace_id"), "sha256": OuterRef("sha256")}
    return Attachment.objects.using(alias).filter(
        ~Exists(AttachmentReference.objects.filter(alive, **same)), ready=True, workspace__isnull=False
    )


def _lapsed(alias: str) -> QuerySet[AttachmentReference]:
    """The expired reservations for messages that were never stored."""
    return AttachmentReference.objects.using(alias).filter(until__lte=datetime.now(UTC))
