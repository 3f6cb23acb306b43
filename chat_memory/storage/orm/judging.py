"""Owns writes that are permitted depending on the stored fields, which are read under the lock of the write."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from chat_memory.exceptions import SessionNotFound
from chat_memory.fields import SETTABLE
from chat_memory.records import Address
from chat_memory.storage.orm.rows import lock
from chat_memory.storage.orm.transactions import run_write

Result = TypeVar("Result")
Judge = Callable[[Mapping[str, Any]], None]
"""Receives the stored settable fields of a session; an error that it raises aborts the write."""


def judged(alias: str, at: Address, judge: Judge, write: Callable[[], Result]) -> Result:
    """Run a write on a session, unless ``judge`` refuses it; no other write can come between the two.

    Args:
        alias: the database.
        at: the session.
        judge: called with the stored fields.
        write: writes through the conversation, in the transaction of this call.

    Raises:
        SessionNotFound: there is no such session.
    """

    def work(**_nested: bool) -> Result:
        rows = lock(alias, at)
        if rows is None:
            raise SessionNotFound(at.key, at.workspace)
        judge({name: getattr(rows.root, name) for name in SETTABLE})
        return write()

    return run_write(alias, work, whole=True, at=at)
