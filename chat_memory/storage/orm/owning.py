"""Owns the check whether an address may reach a session, by the session's owner; it must not write."""

from __future__ import annotations

from typing import Any

from chat_memory.choices import MAIN_BRANCH
from chat_memory.exceptions import NotOwner
from chat_memory.models import Session
from chat_memory.records import Address


def is_reached(at: Address, root: Session) -> bool:
    """Whether an address reaches a conversation, given its root; False if it gives up its key to the address' user.

    Raises:
        NotOwner: it belongs to somebody else, and keeps its key.
    """
    if at.reaches(root.user_id, root.user_key, left=root.user_left):
        return True
    if root.key_from_client:
        return False
    raise NotOwner(at.key, at.workspace, at.user_key)


def check_unreached(alias: str, at: Address) -> None:
    """Check why a statement that compares the owner found nothing: raise an error if the owner is the reason.

    Raises:
        NotOwner: it belongs to somebody else, and keeps its key.
    """
    names: dict[str, Any] = {"workspace__slug": at.workspace, "key": at.key, "branch": MAIN_BRANCH}
    rows = Session.objects.using(alias).filter(deleted_at__isnull=True, **names)
    root = (
        rows.only("user_id", "user_key", "user_left", "key_from_client").order_by().first() if at.is_checked else None
    )
    if root is not None:
        is_reached(at, root)
