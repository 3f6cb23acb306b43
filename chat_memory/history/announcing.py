"""Owns telling the world of a change once it is committed; it must not know what the change was good for."""

from __future__ import annotations

from typing import Any

from django.dispatch import Signal

from chat_memory.choices import MAIN_BRANCH
from chat_memory.records import Address
from chat_memory.storage.base import Adapter


def announce(signal: Signal, sender: type, adapter: Adapter, at: Address, **said: Any) -> None:
    """Send a signal about a session after the commit; where nobody listens, do nothing."""
    if not signal.has_listeners(sender):
        return
    branch = at.branch or MAIN_BRANCH
    named = {"workspace": at.workspace, "key": at.key, "branch": branch, "using": adapter.alias, **said}

    def send() -> None:
        signal.send_robust(sender, **named)

    adapter.after_commit(send)
