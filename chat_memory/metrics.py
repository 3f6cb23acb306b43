"""Owns what is counted about the cache, in this process and over all; it must not know where the sums are kept."""

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
"""Everything that is counted."""
INTERVAL = 10.0
"""Seconds until what was counted is added to the sums of all processes."""

Sums = Callable[[str, int, Mapping[str, int]], Mapping[str, int]]
"""Adds the counts of a process' next batch, by its number once however often it is tried; raises where it cannot."""


class Recorder(Protocol):
    """What the host may name as ``CHAT_MEMORY["RECORDER"]``, to send the counts to Prometheus or OpenTelemetry."""

    def add(self, name: str, by: int) -> None:
        """Called as it happens, in the thread that serves; an error is logged and goes no further."""


class _Counts:
    """What one process has counted, and how much of that is in the sums already."""

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
        """A batch whose fate is unknown is tried again as it was, so that its number can tell it was added before."""
        if self.batch is None:
            with self.lock:
                self.batch = self.counted - self.flushed
            self.number += 1
        return self.batch

    def is_behind(self) -> bool:
        """Whether something is in the sums not yet, or not for sure."""
        return self.counted != self.flushed


class _Process:
    """The counts of this process and where the sums are kept, if anywhere."""

    def __init__(self) -> None:
        self.counts = _Counts()
        self.sums: Sums | None = None
        self.complained: set[str] = set()

    def start_over(self) -> None:
        """A forked child counts from zero, with locks of its own: what was counted before is the parent's to flush."""
        self.counts = _Counts()


_process = _Process()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_process.start_over)


def add(name: str, by: int = 1) -> None:
    """Count an event; never raises."""
    counts = _process.counts
    with counts.lock:
        counts.counted[name] += by
        wake = not counts.due and _process.sums is not None
        counts.due = counts.due or wake
    if wake:
        _flush_later(counts)
    _record(name, by)


def sum_up_with(sums: Sums | None) -> None:
    """Say who keeps the sums of all processes; None: nobody."""
    _process.sums = sums


def flush() -> Mapping[str, int] | None:
    """Add what this process has counted to the sums, and give them; None where they cannot be reached.

    What could not be added stays counted, for the next time.
    """
    counts, sums = _process.counts, _process.sums
    if sums is None:
        return None
    with counts.flushing:
        answer: Mapping[str, int] | None = None
        for _ in range(1 if counts.batch is None else 2):
            batch = counts.next_batch()
            try:
                answer = sums(counts.process, counts.number, batch)
            except Exception:  # counts are no reason to fail, and the cache complains for itself
                logger.debug("the counts of this process are kept for later", exc_info=True)
                return None
            counts.flushed.update(batch)
            counts.batch = None
        return answer


def totals() -> dict[str, int]:
    """How often each of NAMES has happened, over all processes; where Redis does not answer, in this one alone."""
    sums = flush()
    found = _process.counts.counted if sums is None else sums
    return {name: found.get(name, 0) for name in NAMES}


def hit_rate() -> float:
    """The share of reads the cache answered among those it was asked for; 0.0 when nothing was read (FEATURES S2.26).

    Bypasses, which go to the database without asking, do not count.
    """
    found = totals()
    asked = found["hits"] + found["misses"]
    return found["hits"] / asked if asked else 0.0


async def atotals() -> dict[str, int]:
    """Async twin of ``totals``."""
    return await sync_to_async(totals)()


async def ahit_rate() -> float:
    """Async twin of ``hit_rate``."""
    return await sync_to_async(hit_rate)()


def _flush_later(counts: _Counts) -> None:
    """A thread that sleeps and flushes once: an idle process has none, and no reader waits for Redis."""
    timer = threading.Timer(INTERVAL, _flush_when_due, (counts,))
    timer.daemon = True
    try:
        timer.start()
    except RuntimeError:  # no more threads, or the interpreter is about to end: then the flush at exit has it all
        counts.due = False


def _flush_when_due(counts: _Counts) -> None:
    counts.due = False
    if flush() is None and counts.is_behind() and _process.sums is not None and not counts.due:
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
        if kind not in _process.complained:  # one line per kind, not one per read
            _process.complained.add(kind)
            logger.exception("the RECORDER of CHAT_MEMORY failed")


@cache
def _recorder() -> Recorder | None:
    """The host's recorder, looked up once, since every event asks for it; a class is made an object."""
    path = live.now().recorder
    if path is None:
        return None
    found: Any = import_string(path)
    recorder: Recorder = found() if isinstance(found, type) else found
    return recorder


@receiver(setting_changed)
def _look_up_again(*, setting: str, **_said: Any) -> None:
    if setting == "CHAT_MEMORY":
        _recorder.cache_clear()
