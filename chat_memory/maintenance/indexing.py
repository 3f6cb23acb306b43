"""Owns filling the search index with messages that were stored before it existed, in batches; a run may be killed."""

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
        messages: the number of messages put into the index.
        busy: the number of messages skipped because another transaction locked their conversation; the next run takes
            them.
        finished: False if the time was up before the work was done.
    """

    messages: int = 0
    busy: int = 0
    finished: bool = True


def missing(workspace: str | None = None, *, using: str | None = None) -> int:
    """Count the messages not in the index, or indexed with another SEARCH_CONFIG; arguments as for ``fill_index``."""
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
    """Index every message that is not in the index, and again those indexed with another SEARCH_CONFIG.

    Messages written during a run are indexed as they are stored. A batch is one transaction, so a run continues where
    the last one ended, even one that was killed.

    Args:
        workspace: the slug of the only workspace to index; None: all.
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
