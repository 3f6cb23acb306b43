"""Owns the embedding of messages ahead of their first use, in batches; a run may be killed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec

from chat_memory import wiring
from chat_memory.history.embedding import BATCH_SIZE, usable
from chat_memory.maintenance.bounds import deadline
from chat_memory.maintenance.tenants import database, workspace_id
from chat_memory.storage.contract import VectorStore

MAX_BATCH_SIZE = 1_000


class Report(msgspec.Struct, frozen=True):
    """What a run embedded.

    Attributes:
        messages: the number of messages that got an embedding.
        texts: the number of texts that the embedder was given; a message without words needs no call.
        busy: the number of messages skipped because another transaction locked their conversation; the next run takes
            them.
        finished: False if the time was up before the work was done.
    """

    messages: int = 0
    texts: int = 0
    busy: int = 0
    finished: bool = True


def missing(workspace: str | None = None, *, embedder: Any = None, using: str | None = None) -> int:
    """Count the messages without an embedding of the embedder's model; the arguments are those of ``embed``."""
    alias = database(using)
    store = wiring.adapter(alias).part(VectorStore)
    if workspace is not None:
        workspace_id(alias, workspace)
    return store.missing(usable(embedder).name, workspace)


def embed(
    workspace: str | None = None,
    *,
    embedder: Any = None,
    batch_size: int = BATCH_SIZE,
    max_seconds: float | None = None,
    using: str | None = None,
    on_batch: Callable[[int], None] = lambda _: None,
) -> Report:
    """Embed every message that has no embedding of the embedder's model.

    The embedder is called outside of any transaction; its result for a batch is stored in one transaction. So a run
    continues where the last one ended, even one that was killed. Messages stored during a run are left to the next.

    Args:
        workspace: the slug of the only workspace to embed; None: all.
        embedder: as for ``Conversation.relevant``; None: the setting EMBEDDER.
        batch_size: the number of texts per call of the embedder, 1 to 1,000.
        max_seconds: begin no batch after this time.
        using: the database alias; None: where the router writes sessions.
        on_batch: called after each batch with the number of messages looked at so far.

    Raises:
        ValidationError: a number is out of range, or the embedder is not usable.
        WorkspaceNotFound: there is no such workspace.
        NotSupported: ``chat_memory.vectors`` is not installed.
        EmbedderFailed: the embedder failed; earlier batches are kept.
    """
    alias = database(using)
    store, host = wiring.adapter(alias).part(VectorStore), usable(embedder)
    if workspace is not None:
        workspace_id(alias, workspace)
    end = deadline(batch_size, MAX_BATCH_SIZE, max_seconds)
    looked = texts = busy = 0
    after, until = None, store.newest()
    while batch := store.unembedded_anywhere(host.name, workspace, after=after, until=until, size=batch_size):
        busy += store.keep(host.name, host.of_messages(batch), wait=False)
        looked += len(batch)
        texts += sum(bool(each.text) for each in batch)
        after = batch[-1].place
        on_batch(looked)
        if time.monotonic() >= end:
            return Report(looked - busy, texts, busy, finished=False)
    return Report(looked - busy, texts, busy)
