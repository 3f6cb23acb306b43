"""Owns listing the sessions in the store of a factory's histories, from sync and async code."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar
from uuid import uuid4

from django.db import connections

from chat_memory.flow.base import BaseChatHistory
from chat_memory.rules.numbers import LARGEST_PAGE
from chat_memory.sessions import find_sessions
from chat_memory.storage.contract import Adapter

Answer = TypeVar("Answer")


def stored_sessions(make: Callable[[str], BaseChatHistory]) -> list[str] | None:
    """The ids of all sessions in the store of a factory's histories, last active first; None: it cannot be listed.

    A factory may add a prefix or a suffix to an id to make the session key. One history is made with a unique id to
    find both; it is neither read nor written.
    """
    token = f"listing-{uuid4().hex}"
    try:
        chat = make(token).conversation
    except Exception:  # noqa: BLE001  # a factory may accept only some ids; then its store cannot be listed
        return None
    before, found, after = chat.key.partition(token) if chat else ("", "", "")
    if chat is None or not found:
        return None
    around = len(before) + len(after)
    keys = _keys(chat.workspace, chat.place.adapter)
    own = (key for key in keys if key.startswith(before) and key.endswith(after) and len(key) > around)
    return [key[len(before) : len(key) - len(after)] for key in own]


def _keys(workspace: str, adapter: Adapter) -> Iterator[str]:
    before = None
    while True:
        page = find_sessions(workspace, before=before, size=LARGEST_PAGE, adapter=adapter)
        yield from (record.key for record in page.sessions)
        if page.next is None:
            return
        before = page.next


def anywhere(call: Callable[[], Answer]) -> Answer:
    """The result of a call that may query a database; under a running event loop it runs in a thread of its own.

    Django allows no query in the thread of an event loop. The thread has its own connections, which are closed after
    it.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return call()
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(_with_own_connections, call).result()


def _with_own_connections(call: Callable[[], Answer]) -> Answer:
    try:
        return call()
    finally:
        connections.close_all()
