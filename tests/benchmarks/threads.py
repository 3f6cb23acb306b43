"""Eight threads of one process append, beside the plain ORM, which keeps no order and no count."""

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import count

from django.db import connection

from chat_memory import Message, conversation
from chat_memory.models import Message as MessageRow, Session
from tests.benchmarks.cases import WORKSPACE, Bench, Result
from tests.benchmarks.limit import text
from tests.benchmarks.measure import Ratio

WRITERS = 8
CALLS = 60
_seq = count(1_000_000)


def threads(bench: Bench) -> Iterator[Result]:
    """Wall time until all have done their calls, the two ways in turn; a ratio below 1 is more messages a second."""
    keys = [bench.session(10)[0] for _ in range(WRITERS)]
    for name, used in (("one conversation", keys[:1] * WRITERS), ("eight conversations", keys)):
        rows = [Session.objects.get(workspace__slug=WORKSPACE, key=key) for key in used]
        ours: list[Callable[[], object]] = [_ours(key) for key in used]
        plain: list[Callable[[], object]] = [_plain(row) for row in rows]
        _round(ours)
        _round(plain)
        pairs = [(_round(ours), _round(plain)) for _ in range(bench.rounds)]
        per_call = WRITERS * CALLS
        ratio = Ratio.of([mine / per_call for mine, _ in pairs], [other / per_call for _, other in pairs])
        yield Result(f"8 threads on {name} / the plain ORM", ratio, 1.0)


def _ours(key: str) -> Callable[[], object]:
    return lambda: conversation(key, workspace=WORKSPACE).append(Message.user(text()))


def _plain(row: Session) -> Callable[[], object]:
    return lambda: MessageRow.objects.create(
        workspace_id=row.workspace_id,
        session_id=row.pk,
        seq=next(_seq),
        client_id=str(uuid.uuid4()),
        role="user",
        content=text(),
        created_at=datetime.now(UTC),
    )


def _round(calls: list[Callable[[], object]]) -> float:
    """Seconds from the moment at which all threads are connected and begin."""
    start = threading.Barrier(WRITERS + 1)

    def work(call: Callable[[], object]) -> None:
        connection.ensure_connection()
        start.wait()
        for _ in range(CALLS):
            call()
        connection.close()

    workers = [threading.Thread(target=work, args=(call,)) for call in calls]
    for worker in workers:
        worker.start()
    start.wait()
    begin = time.perf_counter()
    for worker in workers:
        worker.join()
    return time.perf_counter() - begin
