"""Eight processes append to one session, by turns as we do and as the limit does."""

import multiprocessing
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection

from chat_memory import conversation
from tests.benchmarks import writer
from tests.benchmarks.cases import WORKSPACE, Bench, Result
from tests.benchmarks.measure import Ratio

WRITERS = 8


def writers(bench: Bench) -> Iterator[Result]:
    """Wall time for all to finish their calls, the two ways in turn."""
    key, _ = bench.session(10)
    row = conversation(key, workspace=WORKSPACE).session()
    assert row is not None
    context = multiprocessing.get_context("spawn")
    pipes: list[Connection] = []
    processes = []
    for _ in range(WRITERS):
        here, there = context.Pipe()
        process = context.Process(
            target=writer.append_when_told, args=(there, bench.url, WORKSPACE, key, row.id), daemon=True
        )
        process.start()
        pipes.append(here)
        processes.append(process)
    try:
        for pipe in pipes:
            pipe.recv()
        for what in ("ours", "limit"):
            _round(pipes, what)
        ours, limit = [], []
        for _ in range(bench.rounds):
            ours.append(_round(pipes, "ours"))
            limit.append(_round(pipes, "limit"))
    finally:
        for pipe in pipes:
            pipe.send("stop")
        for process in processes:
            process.join()
    per_call = WRITERS * writer.CALLS
    ratio = Ratio.of([spent / per_call for spent in ours], [spent / per_call for spent in limit])
    yield Result("8 writers on one session", ratio, 1.7)


def _round(pipes: list[Connection], what: str) -> float:
    begin = time.perf_counter()
    for pipe in pipes:
        pipe.send(what)
    for pipe in pipes:
        pipe.recv()
    return time.perf_counter() - begin
