"""What is measured: each case is one of ours beside the limit, on fresh conversations of a scratch database."""

import asyncio
import statistics
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.management import call_command
from django.db import connection, connections
from django.test.utils import modify_settings, override_settings

from chat_memory import Message, conversation
from chat_memory.models import Session
from tests.benchmarks.limit import Limit, role, text
from tests.benchmarks.measure import Call, Ratio, by_turns

WORKSPACE = "bench"
GROWTH = 1.1


@dataclass(frozen=True)
class Result:
    """One row of the table; `goal` is the largest ratio promised, None where a figure is for information."""

    name: str
    ratio: Ratio
    goal: float | None

    @property
    def row(self) -> str:
        """The line of the table."""
        ratio = self.ratio
        goal = "" if self.goal is None else f"≤ {self.goal}"
        spread = f"{ratio.median:.2f} | {ratio.lower:.2f}-{ratio.upper:.2f}"
        return f"| {self.name} | {spread} | {goal} | {ratio.ours:.0f} | {ratio.limit:.0f} |"


@dataclass(frozen=True)
class Delay:
    """One row of the table that is no ratio: milliseconds, with quartiles and the most there may be."""

    name: str
    median: float
    lower: float
    upper: float
    goal: float

    @classmethod
    def of(cls, name: str, milliseconds: list[float], goal: float) -> "Delay":
        lower, median, upper = statistics.quantiles(milliseconds, n=4)
        return cls(name, median, lower, upper, goal)

    @property
    def row(self) -> str:
        """The line of the table."""
        return f"| {self.name} | {self.median:.2f} ms | {self.lower:.2f}-{self.upper:.2f} ms | ≤ {self.goal:g} ms | | |"


@dataclass(frozen=True)
class Bench:
    """How long to measure, and against which server."""

    url: str
    rounds: int
    closing: ExitStack

    def compare(self, name: str, goal: float | None, ours: Call, limit: Call, calls: int) -> Result:
        return Result(name, by_turns(ours, limit, rounds=self.rounds, calls=calls), goal)

    def session(self, size: int) -> tuple[str, Limit]:
        """A session of `size` messages and the limit on it."""
        key = uuid.uuid4().hex
        chat = conversation(key, workspace=WORKSPACE)
        chat.append(*_messages(min(size, 1000)))
        for _ in range(size // 1000 - 1):
            chat.append(*_messages(1000))
        row = Session.objects.get(workspace__slug=WORKSPACE, key=key)
        limit = Limit(self.url, row.pk, row.workspace_id)
        self.closing.callback(limit.close)
        return key, limit


def single(bench: Bench) -> Iterator[Result]:
    """One caller, one session; a fresh handle per call."""
    key, limit = bench.session(1000)
    yield bench.compare("append one", 1.3, lambda: _append(key, 1), limit.append_one, 100)
    yield bench.compare("append a turn of two", 1.5, lambda: _append(key, 2), lambda: limit.append_many(2), 100)
    yield bench.compare("append a batch of 100", 1.5, lambda: _append(key, 100), lambda: limit.append_many(100), 10)
    key, limit = bench.session(1000)
    yield bench.compare("last 20 of 1,000", 1.25, lambda: _tail(key), limit.tail, 100)
    yield bench.compare("read 1,000", 1.3, lambda: conversation(key, workspace=WORKSPACE).messages(), limit.all, 10)


def first(bench: Bench) -> Iterator[Result]:
    """A conversation that is not there yet: its row, its title and its messages."""
    _key, limit = bench.session(10)
    sizes = ((2, "first turn", 1.8, 60), (100, "batch of 100", 1.5, 10), (1000, "batch of 1,000", 1.5, 5))
    for size, name, goal, calls in sizes:
        ours, best = partial(_append_new, size), partial(limit.first, size)
        yield bench.compare(f"{name} of a new conversation", goal, ours, best, calls)


def narrow(bench: Bench) -> Iterator[Result]:
    """Beside a table of five columns with a bigint key and no other index."""
    key, limit = bench.session(1000)
    limit.set_up_narrow()
    beside = "beside the narrow table"
    yield bench.compare(f"append one {beside}", 1.6, lambda: _append(key, 1), limit.narrow_append, 60)
    for size, name, calls in ((2, "a turn of two", 60), (100, "a batch of 100", 10), (1000, "a batch of 1,000", 5)):
        ours, best = partial(_append, key, size), partial(limit.narrow_append_many, size)
        yield bench.compare(f"append {name} {beside}", 1.6, ours, best, calls)


def concurrent(bench: Bench) -> Iterator[Result]:
    """An async caller."""
    key, limit = bench.session(10)
    with _loop() as run:

        async def one() -> None:
            await conversation(key, workspace=WORKSPACE).aappend(Message.user(text()))

        # The hop alone is timed, not the entry into the loop: both sides run inside one coroutine.
        async def turns() -> Ratio:
            ours: list[float] = []
            best: list[float] = []
            for _ in range(bench.rounds):
                ours.append(await _timed_async(one, 60))
                best.append(_timed(limit.append_one, 60))
            await sync_to_async(connections.close_all)()  # the thread of the hops has a connection of its own
            return Ratio.of(ours, best)

        yield Result("append one, async", run(turns()), 2.1)


def growth(bench: Bench) -> Iterator[Result]:
    """A long session and a large table, judged against the growth of the limit itself."""
    short, long = bench.session(10), bench.session(20_000)
    yield from _grown("at 20,000 messages in the session", bench, short, long)
    before = {what: _ratio(bench, short, what) for what in ("append", "tail")}
    _fill(1_000_000)
    for what, ratio in before.items():
        after = _ratio(bench, short, what)
        yield Result(f"{what} at 1,000,000 messages in the table", _quotient(after, ratio), GROWTH)


def _grown(name: str, bench: Bench, short: tuple[str, Limit], long: tuple[str, Limit]) -> Iterator[Result]:
    for what in ("append", "tail"):
        yield Result(f"{what} {name}", _quotient(_ratio(bench, long, what), _ratio(bench, short, what)), GROWTH)


def _ratio(bench: Bench, session: tuple[str, Limit], what: str) -> Ratio:
    key, limit = session
    if what == "append":
        return by_turns(lambda: _append(key, 1), limit.append_one, rounds=bench.rounds, calls=80)
    return by_turns(lambda: _tail(key), limit.tail, rounds=bench.rounds, calls=80)


def _quotient(after: Ratio, before: Ratio) -> Ratio:
    """How much more ours grew than the limit: the ratio of the two ratios; microseconds are those after."""
    return Ratio(
        after.median / before.median,
        after.lower / before.median,
        after.upper / before.median,
        after.ours,
        after.limit,
    )


def _append(key: str, size: int) -> None:
    conversation(key, workspace=WORKSPACE).append(*_messages(size))


def _append_new(size: int) -> None:
    conversation(uuid.uuid4().hex, workspace=WORKSPACE).append(*_messages(size))


def _tail(key: str) -> None:
    conversation(key, workspace=WORKSPACE).tail(20)


def _messages(size: int) -> list[Message]:
    return [Message(role(index), text()) for index in range(size)]


def _fill(rows: int) -> None:
    """Other people's conversations, 1,000 messages each, straight into the tables."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM chat_memory_workspace WHERE slug = %s", [WORKSPACE])
        (workspace,) = cursor.fetchone()
        cursor.execute(
            """INSERT INTO chat_memory_session (id, workspace_id, key, branch, user_key, title, tags, metadata,
                 last_seq, base_seq, last_turn, message_count, version, vtoken, prev_vtoken, pinned, title_made,
                 key_from_client, user_left, created_at, updated_at, active_at, listed_at)
               SELECT gen_random_uuid(), %s, 'fill-' || n, 'main', '', '', '[]', '{}',
                 1000, 0, 500, 1000, 1, 1, 0, false, false, false, false, now(), now(), now(), now()
               FROM generate_series(1, %s / 1000) n""",
            [workspace, rows],
        )
        cursor.execute(
            """INSERT INTO chat_memory_message
                 (workspace_id, session_id, seq, turn, state, client_id, role, content, created_at)
               SELECT s.workspace_id, s.id, n, n / 2, 'complete', s.id::text || n, 'user', repeat('x', 100), now()
               FROM chat_memory_session s, generate_series(1, 1000) n WHERE s.key LIKE 'fill-%%'"""
        )
        cursor.execute("VACUUM ANALYZE")


@contextmanager
def _loop() -> Iterator[Callable[..., Ratio]]:
    with asyncio.Runner() as runner:
        yield runner.run


async def _timed_async(call: Callable[[], object], calls: int) -> float:
    times = []
    for _ in range(calls):
        begin = time.perf_counter()
        await call()  # type: ignore[misc]
        times.append(time.perf_counter() - begin)
    return sorted(times)[calls // 2]


def _timed(call: Callable[[], object], calls: int) -> float:
    times = []
    for _ in range(calls):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return sorted(times)[calls // 2]


@contextmanager
def installed(app: str) -> Iterator[None]:
    """A sub-app with its tables, and adapters that are made anew, so that they have its part."""
    with modify_settings(INSTALLED_APPS={"append": app}), override_settings(CACHES={**settings.CACHES}):
        call_command("migrate", app.replace(".", "_"), verbosity=0)
        yield


@contextmanager
def configured(**given: Any) -> Iterator[None]:
    """CHAT_MEMORY as a host's settings module has it: an override, as tests use them, makes every look at it slower."""
    before = getattr(settings, "CHAT_MEMORY", {})
    settings.CHAT_MEMORY = given
    try:
        yield
    finally:
        settings.CHAT_MEMORY = before
