"""Owns the search for stored ids and keys that a retry may have used; hidden messages are included."""

from __future__ import annotations

from collections.abc import Collection

from chat_memory.models import Message, Session


def stored_ids(alias: str, workspace_id: int, key: str, ids: Collection[str]) -> set[str]:
    """Those of the ids that messages of a conversation have, on any branch; one statement."""
    family = Session.objects.using(alias).filter(workspace_id=workspace_id, key=key).order_by()
    rows = Message.objects.using(alias).filter(workspace_id=workspace_id, session__in=family, client_id__in=ids)
    return set(rows.order_by().values_list("client_id", flat=True))


def stored_keys(alias: str, workspace_id: int, keys: Collection[str]) -> set[str]:
    """Those of the keys that conversations of a workspace have; one statement."""
    rows = Session.objects.using(alias).roots().filter(workspace_id=workspace_id, key__in=keys)
    return set(rows.order_by().values_list("key", flat=True))
