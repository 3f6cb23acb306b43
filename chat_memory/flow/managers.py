"""Owns the histories of many sessions: one handle each, found by session and workspace."""

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
"""At most so many handles are kept of histories that another handle finds again; the longest unused go first."""

Place = tuple[str, str | None]
"""A session, and the workspace that was named with it."""


class SessionHistoryManager:
    """The histories of many sessions.

    A session's handle is made once and given again. Handles whose messages are in a store are let go when there are too
    many of them; a history that lives in its object stays until it is cleared.

    Args:
        history_factory: takes a session id, and also ``workspace_id=`` if it has such a parameter; gives a history.
        window_size: histories show this many of their newest messages, from 1; None: all.

    Raises:
        ValidationError: ``window_size`` is no whole number from 1, or the factory cannot be called.
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
        self._lock = threading.RLock()  # a factory may ask its manager

    async def get_history(self, session_id: str, workspace_id: str | None = None) -> BaseChatHistory:
        """The history of a session; reading it creates nothing.

        Args:
            session_id: which session.
            workspace_id: whose session it is; None: as the factory says.

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
        """Remove all messages of a session from its store, whoever opened it.

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

        They come from the store, whoever wrote them. Where the factory's histories are in no store that can be asked,
        they are those that were opened here and not cleared. Under a running event loop the query runs in a thread and
        on a connection of its own, which the loop waits for, and which sees nothing of an open transaction;
        ``alist_sessions`` does not hold up the loop.

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
        """The arguments for the factory besides the session.

        Raises:
            ValidationError: it takes no workspace.
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
