"""Owns the dropping of cache entries after a workspace's slug has changed, under the old slug and the new one.

The cache finds an entry by the slug. Another workspace may get the old slug at once, and must not read the entries.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from itertools import islice
from typing import Any

from django.db import transaction
from django.db.models import signals

from chat_memory.models import Session, Workspace
from chat_memory.models.workspace import slug_changed
from chat_memory.storage.changed import Changed, Kind, emitted
from chat_memory.storage.orm.bulk import BATCH_SIZE
from chat_memory.storage.orm.emission import source_of

_FORMER = "_chat_memory_former_slug"


def connect() -> None:
    """Connect the receivers for changed slugs; called once, by ``AppConfig.ready()``."""
    signals.pre_save.connect(_before_save, sender=Workspace, dispatch_uid=_before_save)
    signals.post_save.connect(_after_save, sender=Workspace, dispatch_uid=_after_save)
    slug_changed.connect(_on_change, dispatch_uid=_on_change)


def _before_save(instance: Workspace, using: str, update_fields: Container[str] | None, **_signal: Any) -> None:
    """Remember the stored slug, because the one that the instance was loaded with may be out of date."""
    stored = Workspace.objects.using(using).filter(pk=instance.pk).values_list("slug", flat=True)
    setattr(instance, _FORMER, stored.first() if update_fields is None or "slug" in update_fields else None)


def _after_save(instance: Workspace, using: str, **_signal: Any) -> None:
    former = instance.__dict__.pop(_FORMER, None)
    if former not in (None, instance.slug):
        _on_change(using=using, workspace_id=instance.pk, former=former, slug=instance.slug)


def _on_change(*, using: str, workspace_id: int, former: str, slug: str, **_signal: Any) -> None:
    # No partial: Django 5.2 logs the error of a hook by its __qualname__, which a partial lacks.
    transaction.on_commit(lambda: _drop_entries(using, workspace_id, (former, slug)), using=using, robust=True)


def _drop_entries(alias: str, workspace_id: int, slugs: tuple[str, str]) -> None:
    """Tell only the caches, because for all other receivers no conversation has changed."""
    events = _ends(alias, workspace_id, slugs)
    while batch := list(islice(events, BATCH_SIZE)):
        emitted.send_robust(sender=source_of(alias), events=batch)


def _ends(alias: str, workspace_id: int, slugs: tuple[str, str]) -> Iterator[Changed]:
    rows = Session.objects.using(alias).filter(workspace_id=workspace_id).values_list("pk", "key", "branch")
    for session_id, key, branch in rows.iterator():
        for slug in slugs:
            yield Changed(
                kind=Kind.DELETED,
                workspace=slug,
                key=key,
                session_id=session_id,
                branch=branch,
                asked=branch,
                using=alias,
            )
