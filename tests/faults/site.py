"""The place of the faults: a primary, a lagging replica, a frail Redis behind a proxy, workers, and the trouble."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from redis import Redis, RedisError

from tests.faults.proxy import Proxy, proxy_before
from tests.faults.truth import AUDIT, Truth, Verdict
from tests.servers import start_postgres, start_redis, start_replica
from tests.servers.process import Server, private_directory

ROOT = Path(__file__).resolve().parents[2]
LAG = "150ms"
MAX_AGE = 1.0
PROCESSES, THREADS, KEYS = 2, 4, 4
FAULTS = ("stop", "restart", "flush", "evict", "save")
WITHIN = 120.0


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
        return self.counts["hits"] / max(1, self.counts["hits"] + self.counts["misses"] + self.counts["bypasses"])

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
        self.server = self._started()

    @property
    def client(self) -> Redis:
        """A client with patience."""
        return Redis(port=self.server.port, socket_timeout=2)

    def _started(self) -> Server:
        return self._stack.enter_context(start_redis("--dir", str(self._directory)))

    def stop(self, chance: random.Random) -> None:
        self.server.process.send_signal(signal.SIGSTOP)
        time.sleep(chance.uniform(0.02, 0.4))
        self.server.process.send_signal(signal.SIGCONT)

    def restart(self, chance: random.Random) -> None:
        self.server.process.kill()
        self.server.process.wait()
        if chance.random() < 0.2:
            (self._directory / "dump.rdb").unlink(missing_ok=True)
        self.server = self._started()

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
    with start_postgres({"wal_level": "replica", "max_wal_senders": "4"}) as primary:
        environment = _environment(Databases(primary.url, primary.url), "redis://127.0.0.1:1/0", {"CACHE": "off"})
        migrate = [sys.executable, "-m", "django", "migrate", "--verbosity", "0"]
        subprocess.run(migrate, cwd=ROOT, env=environment, check=True)
        with psycopg.connect(primary.url, autocommit=True) as connection:
            connection.execute(AUDIT)
        with start_replica(primary, {"recovery_min_apply_delay": LAG}) as replica:
            yield Databases(primary.url, replica.url)


def run(site: Databases, mode: str, seconds: float, seed: int) -> Outcome:
    """Everything at once for some seconds, and the verdict."""
    name = f"{mode}{seed}"
    with ExitStack() as stack:
        directory = stack.enter_context(private_directory("chat-memory-faults-"))
        redis = FrailRedis(stack, directory)
        proxy = stack.enter_context(proxy_before(redis.server.port, seed))
        settings = {"CACHE": mode, "CACHE_MAX_AGE": MAX_AGE}
        environment = _environment(site, f"redis://127.0.0.1:{proxy.port}/0", settings)
        shared = {"run": name, "seed": seed, "keys": KEYS, "threads": THREADS, "log": str(directory / "log")}
        configs = [shared | {"name": str(number), "mortal": False} for number in range(PROCESSES)]
        workers = [_started(config, environment) for config in [*configs, shared | {"name": "m", "mortal": True}]]
        faults = _trouble(redis, proxy, workers, seconds, random.Random(seed))
        notes = [json.loads(line) for line in (directory / "log").read_text().splitlines()]
    return _outcome(site, name, notes, faults)


def _environment(site: Databases, redis: str, settings: dict[str, Any]) -> dict[str, str]:
    return os.environ | {
        "DATABASE_URL": site.primary,
        "REPLICA_URL": site.replica,
        "REDIS_URL": redis,
        "CHAT_MEMORY": json.dumps(settings),
        "DJANGO_SETTINGS_MODULE": "tests.faults.settings",
    }


def _started(config: dict[str, Any], environment: dict[str, str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.faults.worker", json.dumps(config)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=ROOT, env=environment, **pipes)


def _trouble(
    redis: FrailRedis, proxy: Proxy, workers: list[subprocess.Popen[str]], seconds: float, chance: random.Random
) -> Counter[str]:
    """Start the workers together, and do to their Redis what can be done to one until they are through."""
    faults: Counter[str] = Counter()
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    end = time.time() + seconds
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write(f"{end}\n")
        worker.stdin.flush()
    while time.time() < end - 0.3:
        time.sleep(chance.uniform(0.15, 0.5))
        fault = chance.choice(FAULTS)
        faults[fault] += 1
        with suppress(RedisError):
            getattr(redis, fault)(chance)
        proxy.target = redis.server.port
    for worker in workers:
        worker.communicate(timeout=WITHIN)
        assert worker.returncode == 0
    return faults + proxy.done


def _outcome(site: Databases, name: str, notes: list[dict[str, Any]], faults: Counter[str]) -> Outcome:
    told: dict[str, list[dict[str, Any]]] = {"read": [], "write": [], "counts": [], "error": []}
    for note in notes:
        told[note.pop("what")].append(note)
    counts = sum((Counter(note["counts"]) for note in told["counts"]), Counter())
    truth = Truth(site.primary, name, told["write"])
    errors = [note["error"] for note in told["error"]] + ["a write nobody told"] * truth.unexplained
    return Outcome(truth.judge(told["read"]), counts, faults, errors)
