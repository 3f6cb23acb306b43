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
    since, cursors = _followed(bench.session(1000)[0]), _followed_by_cursor(bench.session(1000)[0])
    yield bench.compare("changes of one new message / since", 1.3, lambda: next(cursors), lambda: next(since), 60)
    long = _positions([bench.session(LONG)[0]], LONG)
    calls = bench.rounds * CALLS + SHORT
    short = _positions([bench.session(SHORT)[0] for _ in range(calls // SHORT + 1)], SHORT)
    name = f"redact one of {LONG:,} / one of {SHORT}"
    yield bench.compare(name, 1.2, lambda: _redact(*next(long)), lambda: _redact(*next(short)), CALLS)


def _positions(keys: list[str], size: int) -> Iterator[tuple[str, int]]:
    """Each message of some conversations, the first ones first, which a title is made of."""
    return ((key, seq) for key in keys for seq in range(1, size + 1))


def _followed(key: str) -> Iterator[None]:
    """Each step reads the newest message of a conversation by its position."""
    seq = conversation(key, workspace=WORKSPACE).count() - 1
    while True:
        assert len(conversation(key, workspace=WORKSPACE).since(seq)) == 1
        yield


def _followed_by_cursor(key: str) -> Iterator[None]:
    """Each step reads the newest message of a conversation by a cursor from before it."""
    cursor = conversation(key, workspace=WORKSPACE).changes(size=999).cursor
    while True:
        assert len(conversation(key, workspace=WORKSPACE).changes(cursor).messages) == 1
        yield


def _append(key: str) -> None:
    conversation(key, workspace=WORKSPACE).append(Message.user(text()))


def _pop(key: str) -> None:
    conversation(key, workspace=WORKSPACE).pop()


def _redact(key: str, seq: int) -> None:
    conversation(key, workspace=WORKSPACE).redact(seq)
