"""Owns filling the search index with messages that were stored before it, in batches; a run may be killed."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from chat_memory import wiring
from chat_memory.maintenance.bounds import deadline
from chat_memory.maintenance.tenants import database, workspace_id
from chat_memory.storage.contract import Indexed, SearchStore

BATCH_SIZE = 500
MAX_BATCH_SIZE = 10_000


class Report(msgspec.Struct, frozen=True):
    """What a run put into the index.

    Attributes:
        messages: how many messages.
        busy: how many it left, since others were writing to their conversations; the next run takes them.
        finished: False when the time was up before the work was done.
    """

    messages: int = 0
    busy: int = 0
    finished: bool = True


def missing(workspace: str | None = None, *, using: str | None = None) -> int:
    """How many messages the index lacks, or has by another SEARCH_CONFIG; the arguments are those of ``fill_index``."""
    alias = database(using)
    store = wiring.adapter(alias).part(SearchStore)
    if workspace is not None:
        workspace_id(alias, workspace)
    return store.missing(workspace)


def fill_index(
    workspace: str | None = None,
    *,
    batch_size: int = BATCH_SIZE,
    max_seconds: float | None = None,
    using: str | None = None,
    on_batch: Callable[[int], None] = lambda _: None,
) -> Report:
    """Put every message that the index lacks into it, and those that it has by another SEARCH_CONFIG anew.

    What is written meanwhile reaches the index by itself. A batch is one transaction, so that a run goes on where the
    last one ended, however that was.

    Args:
        workspace: in this one only.
        batch_size: messages per transaction, 1 to 10,000.
        max_seconds: begin no batch after this time.
        using: the database alias; None: where the router writes sessions.
        on_batch: called after each batch with the number of messages looked at so far.

    Raises:
        ValidationError: a number is out of range.
        WorkspaceNotFound: there is no such workspace.
        NotSupported: ``chat_memory.search`` is not installed.
    """
    alias = database(using)
    store = wiring.adapter(alias).part(SearchStore)
    if workspace is not None:
        workspace_id(alias, workspace)
    end = deadline(batch_size, MAX_BATCH_SIZE, max_seconds)
    messages = busy = 0
    step = Indexed()
    while True:
        step = store.index(workspace, after=step.last, size=batch_size)
        messages += step.messages
        busy += step.busy
        if step.last is None:
            return Report(messages, busy)
        on_batch(messages + busy)
        if time.monotonic() >= end:
            return Report(messages, busy, finished=False)
