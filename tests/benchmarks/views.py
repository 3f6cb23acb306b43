"""What a conversation can do beside the plain reads: windows, forks, branches."""

import uuid
from collections.abc import Callable, Iterator
from functools import partial

from django.db import connection

from chat_memory import Conversation, Message, conversation
from tests.benchmarks.cases import WORKSPACE, Bench, Result
from tests.benchmarks.limit import role, text

LONG = 20_000


def views(bench: Bench) -> Iterator[Result]:
    """One caller; a fresh handle per call."""
    key, limit = bench.session(LONG)

    def chat() -> Conversation:
        return conversation(key, workspace=WORKSPACE)

    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")  # as autovacuum does, so that the planner knows what a session is
    over = "over 20,000 / tail of the same rows"
    yield bench.compare(f"window of 10 turns {over}", 2.0, lambda: chat().window(turns=10), limit.tail, 60)
    yield bench.compare(f"window of 20 messages {over}", 2.0, lambda: chat().window(messages=20), limit.tail, 60)
    yield bench.compare(f"window of 4,000 tokens {over}", 2.0, lambda: chat().window(tokens=4000), limit.tail, 60)
    yield bench.compare(
        "window of 10 turns, without system messages",
        None,
        lambda: chat().window(turns=10, system=False),
        limit.tail,
        60,
    )
    branch = chat().fork("beside", at=LONG - 10)
    branch.append(*[Message(role(index), text()) for index in range(10)])

    def beside() -> object:
        return conversation(key, workspace=WORKSPACE, branch="beside").tail(20)

    yield bench.compare("tail of a branch / tail of main", 1.5, beside, lambda: chat().tail(20), 60)
    yield from _on_branches(bench)
    short, _limit = bench.session(10)
    yield bench.compare("fork at 20,000 / fork at 10", 1.2, lambda: _fork(key, LONG), lambda: _fork(short, 10), 20)


def _on_branches(bench: Bench) -> Iterator[Result]:
    """The current branch of a conversation beside the same messages on main."""
    plain, _limit = bench.session(1000)
    forked, _limit = bench.session(990)
    chat = conversation(forked, workspace=WORKSPACE).fork("current")
    conversation(forked, workspace=WORKSPACE).switch("current")
    chat.append(*[Message(role(index), text()) for index in range(10)])
    calls: dict[str, Callable[[Conversation], object]] = {
        "window of 10 turns": lambda each: each.window(turns=10),
        "window of 20 messages": lambda each: each.window(messages=20),
        "window of 4,000 tokens": lambda each: each.window(tokens=4000),
        "context of 4,000 tokens": lambda each: each.context(tokens=4000),
        "append one": lambda each: each.append(Message.user(text())),
    }
    for name, call in calls.items():
        ours = partial(_called, call, forked)
        yield bench.compare(f"{name} on a branch / on main", 1.3, ours, partial(_called, call, plain), 60)


def _called(call: Callable[[Conversation], object], key: str) -> None:
    call(conversation(key, workspace=WORKSPACE))


def _fork(key: str, at: int) -> None:
    conversation(key, workspace=WORKSPACE).fork(uuid.uuid4().hex, at=at)
