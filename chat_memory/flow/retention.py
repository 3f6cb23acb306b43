"""Owns the removal of conversations by age, under the name of the documents."""

from __future__ import annotations

from typing import Any

from asgiref.sync import sync_to_async
from django.utils.module_loading import import_string

CLEAN_UP = "chat_memory.maintenance.retention.clean_up"
"""Imported when it is called, because it needs the models, which are only loaded once Django has started."""


async def cleanup_old_sessions(days: int = 30, workspace_id: str | None = None) -> Any:
    """Delete the conversations in Django's database whose newest message is older than ``days``; pinned ones stay.

    Args:
        days: a whole number from 1.
        workspace_id: only in this workspace; None: in all.

    Returns:
        The ``Report`` of ``chat_memory.maintenance.retention``, with the numbers of deleted sessions and messages.

    Raises:
        ValidationError: ``days`` is out of range.
        WorkspaceNotFound: there is no such workspace.
    """
    return await sync_to_async(import_string(CLEAN_UP))(days, workspace=workspace_id)
