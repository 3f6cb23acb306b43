"""What a Redis that takes connections and answers nothing costs a caller: milliseconds on top of no cache at all."""

import asyncio
import os
import signal
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from asgiref.sync import sync_to_async
from django.db import connections
from django.test import override_settings

from chat_memory import Message, conversation
from chat_memory.cache.breaker import FAILURES
from tests.benchmarks.cases import WORKSPACE, Bench, Delay
from tests.benchmarks.limit import text
from tests.servers import start_redis

GOAL_BEFORE, GOAL_AFTER, GOAL_OTHERS = 60.0, 1.0, 50.0
CALLS = 20


def outage(bench: Bench) -> Iterator[Delay]:
    """Each round with a Redis, and so a breaker, of its own; strict, which asks database and Redis."""
    key, _ = bench.session(100)
    calls = {
        "a read": lambda: conversation(key, workspace=WORKSPACE).tail(20),
        "an append": lambda: conversation(key, workspace=WORKSPACE).append(Message.user(text())),
    }
    for name, call in calls.items():
        without = statistics.median(_times(call, 100))
        before, after = [], []
        for _ in range(bench.rounds):
            with _frozen():
                before += _times(call, FAILURES)
                after += _times(call, CALLS)
        yield Delay.of(f"Redis frozen: {name}, until the breaker opens", _added(before, without), GOAL_BEFORE)
        yield Delay.of(f"Redis frozen: {name}, after that", _added(after, without), GOAL_AFTER)
    pauses = []
    for _ in range(bench.rounds):
        with _frozen():
            pauses.append(asyncio.run(_longest_pause(key)))
    yield Delay.of("Redis frozen: another coroutine, its longest wait for a turn", pauses, GOAL_OTHERS)


@contextmanager
def _frozen() -> Iterator[None]:
    """Within it the cache is one that does not answer any more."""
    with start_redis() as server:
        alias = {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": server.url}
        with override_settings(CACHES={"default": alias}, CHAT_MEMORY={"CACHE": "strict"}):
            conversation(f"warm-{os.urandom(8).hex()}", workspace=WORKSPACE).tail(1)
            server.process.send_signal(signal.SIGSTOP)
            try:
                yield
            finally:
                server.process.send_signal(signal.SIGCONT)


def _times(call: Callable[[], object], calls: int) -> list[float]:
    """Milliseconds of each."""
    times = []
    for _ in range(calls):
        begin = time.perf_counter()
        call()
        times.append((time.perf_counter() - begin) * 1e3)
    return times


def _added(times: list[float], without: float) -> list[float]:
    return [spent - without for spent in times]


async def _longest_pause(key: str) -> float:
    """The loop runs another coroutine while a read waits for Redis in its thread."""
    read = asyncio.ensure_future(conversation(key, workspace=WORKSPACE).atail(20))
    longest, last = 0.0, time.perf_counter()
    while not read.done():
        await asyncio.sleep(0)
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    await sync_to_async(connections.close_all)()  # the thread of the hop has a connection of its own
    return longest * 1e3
