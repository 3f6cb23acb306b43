"""Changes of single messages: a pop beside an append, and a redaction in a long conversation beside one in a short."""

from collections.abc import Iterator

from chat_memory import Message, conversation
from tests.benchmarks.cases import WORKSPACE, Bench, Result
from tests.benchmarks.limit import text

SHORT, LONG = 10, 20_000
CALLS = 20


def changing(bench: Bench) -> Iterator[Result]:
    """One caller; a fresh handle per call."""
    key, limit = bench.session(1000)
    yield bench.compare("pop / append one", 2.0, lambda: _pop(key), lambda: _append(key), 60)
    limit.close()
    long = _positions([bench.session(LONG)[0]], LONG)
    calls = bench.rounds * CALLS + SHORT
    short = _positions([bench.session(SHORT)[0] for _ in range(calls // SHORT + 1)], SHORT)
    name = f"redact one of {LONG:,} / one of {SHORT}"
    yield bench.compare(name, 1.2, lambda: _redact(*next(long)), lambda: _redact(*next(short)), CALLS)


def _positions(keys: list[str], size: int) -> Iterator[tuple[str, int]]:
    """Each message of some conversations, the first ones first, which a title is made of."""
    return ((key, seq) for key in keys for seq in range(1, size + 1))


def _append(key: str) -> None:
    conversation(key, workspace=WORKSPACE).append(Message.user(text()))


def _pop(key: str) -> None:
    conversation(key, workspace=WORKSPACE).pop()


def _redact(key: str, seq: int) -> None:
    conversation(key, workspace=WORKSPACE).redact(seq)
