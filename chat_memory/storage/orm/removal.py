"""Owns the removal of session rows with all that hangs on them; it must not decide which ones go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import Model, signals

from chat_memory.models import Message as MessageRow, Revision, Session, Summary
from chat_memory.storage.tenancy import across_workspaces


def remove(alias: str, sessions: Sequence[Any], **tenant: int) -> int:
    """Delete locked sessions, branches included, with their messages; how many messages went.

    Straight to the database where nobody but this package refers to them: Django's delete() would load every row. A
    host's own foreign keys and delete signals get Django's way.
    """
    messages = MessageRow.objects.using(alias).filter(session_id__in=sessions, **tenant)
    rows = Session.objects.using(alias).filter(pk__in=sessions, **tenant)
    for model in (Revision, Summary):
        model._default_manager.using(alias).filter(session_id__in=sessions, **tenant)._raw_delete(alias)
    if not (_hosts_care(MessageRow) or _hosts_care(Session)):
        count: int = messages._raw_delete(alias)
        rows._raw_delete(alias)
        return count
    with across_workspaces():  # the collector asks by the keys it was given, which one tenant's rows gave
        count = messages.count()
        messages.delete()
        rows.delete()
    return count


def _hosts_care(model: type[Model]) -> bool:
    """Whether a model outside this package refers to this one, or somebody listens to its deletion."""
    related = (field.related_model for field in model._meta.related_objects)
    listened = signals.pre_delete.has_listeners(model) or signals.post_delete.has_listeners(model)
    return listened or any(other._meta.app_label != model._meta.app_label for other in related)


def with_branches(rows: Any, sessions: Sequence[Any]) -> list[Any]:
    """The ids of the sessions and of every branch below them among ``rows``."""
    found, level = list(sessions), list(sessions)
    while level:
        level = list(rows.filter(parent_id__in=level).values_list("pk", flat=True))
        found += level
    return found
