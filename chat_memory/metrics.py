"""Owns the cache's counters, of this process and of all processes; it must not know where their sums are stored."""

from __future__ import annotations

import atexit
import logging
import os
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Protocol

from asgiref.sync import sync_to_async
from django.core.signals import setting_changed
from django.dispatch import receiver
from django.utils.module_loading import import_string

from chat_memory.conf import live

logger = logging.getLogger("chat_memory.metrics")

NAMES = ("hits", "misses", "bypasses", "fills", "refused_fills", "pushes", "lost_pushes", "breaker_openings")
"""The names of all counters."""
INTERVAL = 10.0
"""Seconds after which new counts are added to the sums of all processes."""


class Counters(Protocol):
    """The store of the sums of all processes; implemented in ``chat_memory.cache.counters``."""

    def add(self, process: str, batch: int, counts: Mapping[str, int]) -> Mapping[str, int]:
        """Add a process' next batch of counts and return the sums; a repeated batch number is added only once."""


Shared = Callable[[], Counters]
"""Returns the store of the sums for the present settings; raises where there is none."""


class Recorder(Protocol):
    """The object that ``CHAT_MEMORY["RECORDER"]`` may name, to forward counts to Prometheus or OpenTelemetry."""

    def add(self, name: str, by: int) -> None:
        """Called for each event at once, in the thread of the read or write; an error is logged and not raised."""


class _Counts:
    """The counts of one process, and the part of them that has been added to the sums.

    ``batch`` holds the counts that are being added under the batch number ``number``; None between two flushes.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.flushing = threading.Lock()
        self.counted: Counter[str] = Counter()
        self.flushed: Counter[str] = Counter()
        self.process = uuid.uuid4().hex
        self.number = 0
        self.batch: Counter[str] | None = None
        self.due = False

    def next_batch(self) -> Counter[str]:
        """The counts to add now; a batch that may or may not have been added is repeated under its old number."""
        if self.batch is None:
            with self.lock:
                self.batch = self.counted - self.flushed
            self.number += 1
        return self.batch

    def is_behind(self) -> bool:
        """Whether some counts are not yet, or not certainly, added to the sums."""
        return self.counted != self.flushed


class _Process:
    """The counts of this process, and the store of the sums; None where there is none."""

    def __init__(self) -> None:
        self.counts = _Counts()
        self.shared: Shared | None = None
        self.logged_kinds: set[str] = set()

    def start_over(self) -> None:
        """Reset in a forked child: it needs its own locks, and the parent flushes what was counted before the fork."""
        self.counts = _Counts()


_process = _Process()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_process.start_over)


def add(name: str, by: int = 1) -> None:
    """Add ``by`` to a counter; never raises."""
    counts = _process.counts
    with counts.lock:
        counts.counted[name] += by
        wake = not counts.due and _process.shared is not None
        counts.due = counts.due or wake
    if wake:
        _flush_later(counts)
    _record(name, by)


def sum_up_with(shared: Shared | None) -> None:
    """Set the store of the sums of all processes; None: counts stay in this process."""
    _process.shared = shared


def flush() -> Mapping[str, int] | None:
    """Add this process' new counts to the sums of all processes, and return the sums.

    Returns None where there is no store or it cannot be reached; the counts are then added by the next flush.
    """
    counts, shared = _process.counts, _process.shared
    if shared is None:
        return None
    with counts.flushing:
        sums: Mapping[str, int] | None = None
        for _ in range(1 if counts.batch is None else 2):
            batch = counts.next_batch()
            try:
                sums = shared().add(counts.process, counts.number, batch)
            except Exception:  # metrics must not fail a caller, and the cache logs its own errors
                logger.debug("the counts of this process could not be added; the next flush adds them", exc_info=True)
                return None
            counts.flushed.update(batch)
            counts.batch = None
        return sums


def totals() -> dict[str, int]:
    """The value of each counter in NAMES, over all processes; of this process alone where Redis does not answer."""
    sums = flush()
    counts = _process.counts.counted if sums is None else sums
    return {name: counts.get(name, 0) for name in NAMES}


def hit_rate() -> float:
    """The share of cache reads that were hits, from 0.0 to 1.0; 0.0 before the first read.

    Bypasses, which go to the database without asking the cache, do not count.
    """
    counts = totals()
    reads = counts["hits"] + counts["misses"]
    return counts["hits"] / reads if reads else 0.0


async def atotals() -> dict[str, int]:
    """Async twin of ``totals``."""
    return await sync_to_async(totals)()


async def ahit_rate() -> float:
    """Async twin of ``hit_rate``."""
    return await sync_to_async(hit_rate)()


def _flush_later(counts: _Counts) -> None:
    """Start a thread that flushes once after INTERVAL: an idle process has no thread, and no read waits for Redis."""
    timer = threading.Timer(INTERVAL, _flush_when_due, (counts,))
    timer.daemon = True
    try:
        timer.start()
    except RuntimeError:  # too many threads, or the interpreter is exiting; the flush at exit then adds the counts
        counts.due = False


def _flush_when_due(counts: _Counts) -> None:
    counts.due = False
    if flush() is None and counts.is_behind() and _process.shared is not None and not counts.due:
        counts.due = True
        _flush_later(counts)


@atexit.register
def _flush_at_exit() -> None:
    if _process.counts.is_behind():
        flush()


def _record(name: str, by: int) -> None:
    try:
        recorder = _recorder()
        if recorder is not None:
            recorder.add(name, by)
    except Exception as error:
        kind = type(error).__name__
        if kind not in _process.logged_kinds:  # log each kind of error once, not on every read
            _process.logged_kinds.add(kind)
            logger.exception("the RECORDER of CHAT_MEMORY failed")


@cache
def _recorder() -> Recorder | None:
    """The host's recorder, imported once, since every event needs it; a class is instantiated."""
    path = live.now().recorder
    if path is None:
        return None
    imported: Any = import_string(path)
    recorder: Recorder = imported() if isinstance(imported, type) else imported
    return recorder


@receiver(setting_changed)
def _forget_recorder(*, setting: str, **_kwargs: Any) -> None:
    if setting == "CHAT_MEMORY":
        _recorder.cache_clear()
