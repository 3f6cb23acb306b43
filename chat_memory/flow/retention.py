"""Owns the removal of conversations by age, as this dialect calls it."""

from __future__ import annotations

from typing import Any

from asgiref.sync import sync_to_async
from django.utils.module_loading import import_string

CLEAN_UP = "chat_memory.maintenance.retention.clean_up"
"""Found by its path when it is called: it stands on the models, which are there only once Django has started."""


async def cleanup_old_sessions(days: int = 30, workspace_id: str | None = None) -> Any:
    """Remove for good the conversations of Django's database whose newest message is older; pinned ones stay.

    Args:
        days: a whole number from 1.
        workspace_id: in this workspace only; None: in all.

    Returns:
        The ``Report`` of ``chat_memory.maintenance.retention``: how many sessions and messages went.

    Raises:
        ValidationError: ``days`` is out of range.
        WorkspaceNotFound: there is no such workspace.
    """
    return await sync_to_async(import_string(CLEAN_UP))(days, workspace=workspace_id)
