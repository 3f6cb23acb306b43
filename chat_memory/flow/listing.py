"""Owns finding which sessions a factory's store holds, in sync and in async code."""

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
    """The ids of all sessions in the store of a factory's histories, last active first; None: it has none to list.

    A factory may make a session key of its id. What it makes is seen from one history that is only made, and neither
    read nor written.
    """
    token = f"listing-{uuid4().hex}"
    try:
        chat = make(token).conversation
    except Exception:  # noqa: BLE001  # a factory may know some ids only; then there is nothing to list by
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
    """What a call gives that may ask a database: in this thread, or under a running event loop in one of its own.

    Django allows no query in the thread of an event loop. The thread's connections are its own, and closed after it.
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
