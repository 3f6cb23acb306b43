"""Owns the histories of many sessions, one handle for each session and workspace."""

from __future__ import annotations

import inspect
import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any

from asgiref.sync import sync_to_async

from chat_memory.exceptions import ValidationError
from chat_memory.flow.base import BaseChatHistory
from chat_memory.flow.listing import anywhere, stored_sessions
from chat_memory.flow.window import SlidingWindowChatHistory, check_window

HANDLES = 1_000
"""The most handles kept of histories that a new handle finds again; the least recently used are dropped first."""

Place = tuple[str, str | None]
"""A session id, and the workspace that was given with it."""


class SessionHistoryManager:
    """The histories of many sessions.

    The handle of a session is made once and returned again. Handles whose messages are in a store are dropped when
    there are more than HANDLES; a history that exists only in its object is kept until it is cleared.

    Args:
        history_factory: takes a session id, and also ``workspace_id=`` if it has that parameter; returns a history.
        window_size: histories show this many of their newest messages, from 1; None: all.

    Raises:
        ValidationError: ``window_size`` is not a whole number from 1, or the factory cannot be called.
    """

    def __init__(self, history_factory: Callable[..., BaseChatHistory], window_size: int | None = None) -> None:
        if not callable(history_factory):
            raise ValidationError("must be callable", field="history_factory")
        self.history_factory = history_factory
        self.window_size = None if window_size is None else check_window(window_size)
        self.takes_workspace = _takes_workspace(history_factory)
        self._staying: dict[Place, BaseChatHistory] = {}
        self._handles: OrderedDict[Place, BaseChatHistory] = OrderedDict()
        self._opened: dict[Place, None] = {}
        self._lock = threading.RLock()  # a factory may call its manager

    async def get_history(self, session_id: str, workspace_id: str | None = None) -> BaseChatHistory:
        """The history of a session; reading it creates nothing.

        Args:
            session_id: the session's id.
            workspace_id: the workspace of the session; None: the factory's default.

        Raises:
            ValidationError: a name cannot be used, or the factory takes no workspace.
        """
        place = session_id, workspace_id
        with self._lock:
            found = self._staying.get(place) or self._handles.get(place)
            if found is None:
                found = self._made(session_id, workspace_id)
                self._keep(place, found)
            elif place in self._handles:
                self._handles.move_to_end(place)
            return found

    async def clear_history(self, session_id: str, workspace_id: str | None = None) -> None:
        """Remove all messages of a session from its store, even if it was not opened here.

        Raises:
            ValidationError: a name cannot be used, or the factory takes no workspace.
            ChatMemoryError: the store could not remove them.
        """
        place = session_id, workspace_id
        await (await self.get_history(session_id, workspace_id)).clear()
        with self._lock:
            for kept in (self._staying, self._handles, self._opened):
                kept.pop(place, None)

    def list_sessions(self, workspace_id: str | None = None) -> list[str]:
        """The ids of all sessions that hold messages, last active first; for sync code, and for async code too.

        They come from the store, whoever wrote them. If the store of the factory's histories cannot be listed, they are
        those that were opened here and not cleared. Under a running event loop the query runs in a thread with its own
        connection: it does not see an open transaction of the caller, and the loop is blocked until it ends. Use
        ``alist_sessions`` there, which does not block.

        Raises:
            ValidationError: the workspace cannot be used, or the factory takes none.
        """
        return anywhere(partial(self._listed, workspace_id))

    async def alist_sessions(self, workspace_id: str | None = None) -> list[str]:
        """Async twin of ``list_sessions``."""
        return await sync_to_async(self._listed)(workspace_id)

    def _listed(self, workspace_id: str | None) -> list[str]:
        self._given(workspace_id)
        stored = stored_sessions(lambda session_id: self._made(session_id, workspace_id))
        with self._lock:
            opened = [*self._staying] if stored is not None else [*self._staying, *self._opened]
        own = (session_id for session_id, workspace in opened if workspace == workspace_id)
        return list(dict.fromkeys([*(stored or ()), *own]))

    def _made(self, session_id: str, workspace_id: str | None) -> BaseChatHistory:
        history = self.history_factory(session_id, **self._given(workspace_id))
        return history if self.window_size is None else SlidingWindowChatHistory(history, self.window_size)

    def _given(self, workspace_id: str | None) -> dict[str, Any]:
        """The arguments for the factory beside the session id.

        Raises:
            ValidationError: a workspace is given, but the factory takes none.
        """
        if self.takes_workspace:
            return {"workspace_id": workspace_id}
        if workspace_id is not None:
            raise ValidationError("is given, and history_factory has no such parameter", field="workspace_id")
        return {}

    def _keep(self, place: Place, history: BaseChatHistory) -> None:
        if not getattr(history, "outlives_handle", False):
            self._staying[place] = history
            return
        self._handles[place] = history
        if getattr(history, "conversation", None) is None:
            self._opened[place] = None
        if len(self._handles) > HANDLES:
            self._handles.popitem(last=False)


def _takes_workspace(factory: Callable[..., BaseChatHistory]) -> bool:
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):
        return False
    return any(each.name == "workspace_id" or each.kind is each.VAR_KEYWORD for each in parameters)
