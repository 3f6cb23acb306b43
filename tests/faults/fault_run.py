"""A run under faults: a primary, a lagging replica, a frail Redis behind a proxy, workers, and the trouble."""

import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple

import psycopg
from redis import Redis, RedisError

from tests.faults.committed_states import AUDIT, Truth, Verdict
from tests.faults.proxy import Proxy, proxy_before
from tests.servers import start_postgres, start_redis, start_replica
from tests.servers.process import Server, private_directory

ROOT = Path(__file__).resolve().parents[2]
LAG = "150ms"
MAX_AGE = 1.0
PROCESSES, THREADS, KEYS = 2, 4, 4
FAULTS = ("stop", "restart", "flush", "evict", "save")
LEAST_HITS = 0.1
LEAST_READS = 200
HAPPENED = ("died", "rolled back", "replica behind", "delete")
SUFFERED = ("stop", "restart", "older dump", "flush", "evict", "delayed")
WITHIN = 60.0
"""Seconds after which what should have ended by itself, on however slow a machine, is given up."""
PATIENCE = 300.0
"""Seconds that a run may take longer than it was meant to until enough has happened in it."""
GIVE_UP = {"statement_timeout": "30s", "idle_in_transaction_session_timeout": "30s"}


class Databases(NamedTuple):
    """The addresses of the primary and of the replica behind it."""

    primary: str
    replica: str


class Outcome(NamedTuple):
    """What one run was worth, and what happened in it."""

    verdict: Verdict
    counts: Counter[str]
    faults: Counter[str]
    errors: list[str]

    @property
    def hit_share(self) -> float:
        """Of all reads, how many Redis answered."""
        return hit_share(self.counts)

    def summary(self) -> dict[str, Any]:
        """The numbers worth printing."""
        verdict = self.verdict._asdict() | {"oldest_ms": round(self.verdict.oldest * 1000, 1)}
        del verdict["oldest"]
        shares = {"hits": self.counts["hits"], "hit_share": round(self.hit_share, 3), "died": self.counts["died"]}
        return verdict | shares | {"faults": dict(self.faults), "errors": self.errors[:3]}


class FrailRedis:
    """A Redis that can be frozen, killed and brought back with what it had saved some time ago."""

    def __init__(self, stack: ExitStack, directory: Path) -> None:
        self._stack, self._directory = stack, directory
        self.done: Counter[str] = Counter()
        self.server = self._started()

    @property
    def client(self) -> Redis:
        """A client with patience."""
        return Redis(port=self.server.port, socket_timeout=2)

    def _started(self) -> Server:
        return self._stack.enter_context(start_redis("--dir", str(self._directory)))

    def suffer(self, fault: str, chance: random.Random) -> None:
        """One of FAULTS; that Redis refuses it is none."""
        self.done[fault] += 1
        with suppress(RedisError):
            getattr(self, fault)(chance)

    def stop(self, chance: random.Random) -> None:
        self.server.process.send_signal(signal.SIGSTOP)
        try:
            time.sleep(chance.uniform(0.02, 0.4))
        finally:
            self.server.process.send_signal(signal.SIGCONT)

    def restart(self, chance: random.Random) -> None:
        """With nothing, with what was saved when it was, or a moment ago: so late that bounded still believes it."""
        drawn = chance.random()
        if drawn < 0.15:
            (self._directory / "dump.rdb").unlink(missing_ok=True)
        elif drawn < 0.8:
            self.client.save()
            time.sleep(chance.uniform(0.05, 0.3))
        self.server.process.kill()
        self.server.process.wait(WITHIN)
        self.server = self._started()
        self.done["older dump"] += self.client.dbsize() > 0

    def flush(self, _chance: random.Random) -> None:
        self.client.flushall()

    def evict(self, _chance: random.Random) -> None:
        for _ in range(3):
            if key := self.client.randomkey():
                self.client.delete(key)

    def save(self, _chance: random.Random) -> None:
        self.client.save()


@contextmanager
def databases() -> Iterator[Databases]:
    """A primary with our tables and the triggers that tell the truth, and a replica that follows slowly."""
    with start_postgres({"wal_level": "replica", "max_wal_senders": "4", **GIVE_UP}) as primary:
        environment = _environment(Databases(primary.url, primary.url), "redis://127.0.0.1:1/0", {"CACHE": "off"})
        migrate = [sys.executable, "-m", "django", "migrate", "--verbosity", "0"]
        subprocess.run(migrate, cwd=ROOT, env=environment, check=True, timeout=WITHIN)
        with psycopg.connect(primary.url, autocommit=True) as connection:
            connection.execute(AUDIT)
        with start_replica(primary, {"recovery_min_apply_delay": LAG, **GIVE_UP}) as replica:
            yield Databases(primary.url, replica.url)


def hit_share(counts: Counter[str]) -> float:
    """Of all reads, how many Redis answered."""
    return counts["hits"] / max(1, counts["hits"] + counts["misses"] + counts["bypasses"])


def lacking(counts: Counter[str], faults: Counter[str]) -> Iterator[str]:
    """What a run needs yet to prove something."""
    if counts["reads"] < LEAST_READS or hit_share(counts) < LEAST_HITS:
        yield f"{counts['hits']} hits in {counts['reads']} reads prove nothing"
    yield from (f"no {what}" for what in HAPPENED if not counts[what])
    yield from (f"no {what}" for what in SUFFERED if not faults[what])


def run_with_faults(addresses: Databases, mode: str, seconds: float, seed: int) -> Outcome:
    """Everything at once for some seconds at least, and until enough of it has happened; the verdict."""
    name = f"{mode}{seed}"
    with ExitStack() as stack:
        directory = stack.enter_context(private_directory("chat-memory-faults-"))
        redis = FrailRedis(stack, directory)
        proxy = stack.enter_context(proxy_before(redis.server.port, seed))
        settings = {"CACHE": mode, "CACHE_MAX_AGE": MAX_AGE}
        environment = _environment(addresses, f"redis://127.0.0.1:{proxy.port}/0", settings)
        shared = {"run": name, "seed": seed, "keys": KEYS, "threads": THREADS, "log": str(directory / "log")}
        configs = [shared | {"name": str(number), "mortal": False} for number in range(PROCESSES)]
        configs.append(shared | {"name": "m", "mortal": True})
        reports = [directory / f"counted-{config['name']}" for config in configs]
        for config, report in zip(configs, reports, strict=True):
            config["progress"] = str(report)
        workers = [stack.enter_context(_working(config, environment)) for config in configs]
        faults = _trouble(redis, proxy, workers, partial(_is_over, seconds, reports), random.Random(seed))
        notes = [json.loads(line) for line in (directory / "log").read_text().splitlines()]
    return _outcome(addresses, name, notes, faults)


def _environment(addresses: Databases, redis: str, settings: dict[str, Any]) -> dict[str, str]:
    return os.environ | {
        "DATABASE_URL": addresses.primary,
        "REPLICA_URL": addresses.replica,
        "REDIS_URL": redis,
        "CHAT_MEMORY": json.dumps(settings),
        "DJANGO_SETTINGS_MODULE": "tests.faults.settings",
    }


@contextmanager
def _working(config: dict[str, Any], environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A worker, which with its children does not outlive the run, however that ends."""
    command = [sys.executable, "-m", "tests.faults.worker", json.dumps(config)]
    how: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "start_new_session": True}
    with subprocess.Popen(command, cwd=ROOT, env=environment, **how) as worker:
        try:
            yield worker
        finally:
            if worker.poll() is None:
                os.killpg(worker.pid, signal.SIGKILL)


def _trouble(
    redis: FrailRedis,
    proxy: Proxy,
    workers: list[subprocess.Popen[str]],
    is_over: Callable[[float, Counter[str]], bool],
    chance: random.Random,
) -> Counter[str]:
    """Start the workers together, and do to their Redis what can be done to one until enough has happened."""
    for worker in workers:
        _await_ready(worker)
    for worker in workers:
        _inputs(worker).write("go\n")
        _inputs(worker).flush()
    begin, faults = time.monotonic(), _in_rounds(chance)
    while not is_over(time.monotonic() - begin, redis.done + proxy.done) and not any(map(_has_ended, workers)):
        time.sleep(chance.uniform(0.15, 0.5))
        redis.suffer(next(faults), chance)
        proxy.target = redis.server.port
    for worker in workers:
        _inputs(worker).close()
    for worker in workers:
        assert worker.wait(WITHIN) == 0
    return redis.done + proxy.done


def _is_over(seconds: float, reports: list[Path], passed: float, faults: Counter[str]) -> bool:
    """Whether the time has passed, and enough has happened; by what the workers have told so far."""
    if passed <= seconds:
        return False
    counts = sum((Counter(json.loads(report.read_text())) for report in reports if report.exists()), Counter[str]())
    return passed > seconds + PATIENCE or not list(lacking(counts, faults))


def _has_ended(worker: subprocess.Popen[str]) -> bool:
    return worker.poll() is not None


def _inputs(worker: subprocess.Popen[str]) -> IO[str]:
    assert worker.stdin is not None
    return worker.stdin


def _await_ready(worker: subprocess.Popen[str]) -> None:
    assert worker.stdout is not None
    assert select.select([worker.stdout], [], [], WITHIN)[0], "a worker does not start"
    assert worker.stdout.readline() == "ready\n"


def _in_rounds(chance: random.Random) -> Iterator[str]:
    """Each fault once before any comes again, so that a slow machine has them all too."""
    while True:
        yield from chance.sample(FAULTS, len(FAULTS))


def _outcome(addresses: Databases, name: str, notes: list[dict[str, Any]], faults: Counter[str]) -> Outcome:
    told: dict[str, list[dict[str, Any]]] = {"read": [], "write": [], "counts": [], "error": []}
    for note in notes:
        told[note.pop("what")].append(note)
    counts = sum((Counter(note["counts"]) for note in told["counts"]), Counter())
    truth = Truth(addresses.primary, name, told["write"])
    errors = [note["error"] for note in told["error"]] + ["a write nobody told"] * truth.unexplained
    return Outcome(truth.judge(told["read"]), counts, faults, errors)
