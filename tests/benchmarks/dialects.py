"""The dialects beside ``conversation()`` and beside the packages whose names they have, where those are installed."""

import asyncio
import os
import statistics
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import redis
import redis.asyncio as async_redis
from asgiref.sync import sync_to_async
from django.db import connections

from chat_memory import Message, conversation
from chat_memory.flow import DatabaseChatHistory, DjangoDatabaseAdapter, RedisChatHistory, SlidingWindowChatHistory
from chat_memory.providers import Message as ProvidedMessage, PostgresConfig, RedisConfig
from chat_memory.providers.postgres import PostgresProvider
from chat_memory.providers.redis import RedisProvider
from chat_memory.storage.redis import RedisAdapter
from chat_memory.turns import ChatMemoryConfig, RedisChatMemory
from tests.benchmarks.cases import WORKSPACE, Bench, Result
from tests.benchmarks.limit import role, text
from tests.benchmarks.measure import Ratio, by_turns

SIZE, READ, CALLS = 1000, 20, 40
OF_CORE, OF_ORIGINAL = 1.25, 1.0
"""The goals: at most so much of the same through ``conversation()``, and of the original."""

AsyncCall = Callable[[], Awaitable[object]]


@dataclass(frozen=True)
class Case:
    """One thing that is done in three ways: through the dialect, through ``conversation()``, and by the original."""

    name: str
    dialect: Callable[[], Any]
    core: Callable[[], Any]
    original: Callable[[], Any] | None

    def beside(self) -> Iterator[tuple[str, Callable[[], Any], float]]:
        """What the dialect is compared with, and the goal."""
        yield f"{self.name} / conversation()", self.core, OF_CORE
        if self.original is not None:
            yield f"{self.name} / original", self.original, OF_ORIGINAL


def dialects(bench: Bench) -> Iterator[Result]:
    """One caller; conversations of 1,000 messages, and the packages' own with as many."""
    client = redis.Redis.from_url(os.environ["REDIS_URL"])
    bench.closing.callback(client.close)
    for case in _turns(client):
        for name, other, goal in case.beside():
            yield Result(name, by_turns(case.dialect, other, rounds=bench.rounds, calls=CALLS), goal)
    with asyncio.Runner() as runner:
        yield from runner.run(_in_one_loop(bench, client))


def _turns(client: redis.Redis) -> Iterator[Case]:
    """The document's memory of twenty messages, in Redis and in the database."""
    given: dict[str, Any] = {"max_turns": READ // 2, "ttl_seconds": 1800}
    url, key = os.environ["REDIS_URL"], uuid.uuid4().hex
    ours = RedisChatMemory(client=client, config=ChatMemoryConfig(**given))
    core = partial(conversation, key, adapter=RedisAdapter(client, "core:", 1800, plain="default"))
    ours.append_many(key, _messages(SIZE))
    core().append(*_messages(SIZE))
    theirs = by_url = None
    if find_spec("ractogateway"):
        package: Any = import_module("ractogateway.redis")
        config = package.ChatMemoryConfig(key_prefix="theirs", **given)
        theirs = package.RedisChatMemory(client=client, config=config)
        by_url = package.RedisChatMemory(url=url, config=config)
        for message in _messages(SIZE):
            theirs.append(key, message.role, message.content)
    yield from _of_memory("turns on Redis", ours, core, theirs, key)
    if by_url is not None:
        by_its_url = RedisChatMemory(url=url, config=ours.config)
        yield from _of_memory("turns on Redis, by its URL", by_its_url, core, by_url, key)
    durable = RedisChatMemory(durable=True, workspace=WORKSPACE, config=ours.config)
    durable.append_many(key, _messages(SIZE))
    yield from _of_memory("turns in the database", durable, partial(conversation, key, WORKSPACE), None, key)


def _of_memory(name: str, ours: Any, core: Callable[[], Any], theirs: Any, key: str) -> Iterator[Case]:
    def append(memory: Any) -> Callable[[], object]:
        return lambda: memory.append(key, "user", text())

    def read(memory: Any) -> Callable[[], object]:
        return lambda: memory.get_history(key)

    yield Case(
        f"{name}: append", append(ours), lambda: core().append(Message.user(text())), append(theirs) if theirs else None
    )
    yield Case(
        f"{name}: read {READ} of 1,000",
        read(ours),
        lambda: core().window(turns=READ // 2),
        read(theirs) if theirs else None,
    )


async def _in_one_loop(bench: Bench, client: redis.Redis) -> list[Result]:
    """What the documents have as coroutines: flow's histories, and jaf's providers."""
    found = []
    async with AsyncExitStack() as closing:
        for case in (*await _flow_cases(client), *await _provider_cases(client, closing)):
            for name, other, goal in case.beside():
                found.append(Result(name, await _by_turns(case.dialect, other, bench.rounds), goal))
    await sync_to_async(connections.close_all)()  # the thread of the hops has a connection of its own
    return found


async def _provider_cases(client: redis.Redis, closing: AsyncExitStack) -> list[Case]:
    """The document's providers, over Redis and over PostgreSQL."""
    key, url = uuid.uuid4().hex, os.environ["REDIS_URL"]
    in_redis = RedisProvider(RedisConfig(key_prefix="provided:"), client)
    over_redis = partial(conversation, key, adapter=RedisAdapter(client, "core_of_provided:", plain="default"))
    in_database = PostgresProvider(PostgresConfig(table_name=WORKSPACE))
    theirs: dict[str, Any] = {}
    if find_spec("jaf") and find_spec("asyncpg"):
        of_redis: Any = import_module("jaf.memory.providers.redis")
        of_database: Any = import_module("jaf.memory.providers.postgres")
        types: Any = import_module("jaf.memory.types")
        their_client = async_redis.from_url(url)
        closing.push_async_callback(their_client.aclose)
        theirs["Redis"] = of_redis.RedisProvider(types.RedisConfig(key_prefix="theirs:"), their_client)
        config = types.PostgresConfig(connection_string=os.environ["DATABASE_URL"], table_name="jaf_conversations")
        theirs["database"] = (await of_database.create_postgres_provider(config)).data
        closing.push_async_callback(theirs["database"].client.close)
    for provider in (in_redis, in_database, *theirs.values()):
        make = _of_jaf if provider in theirs.values() else _of_ours
        await _done(provider.store_messages(key, [make(message) for message in _messages(SIZE)]))
    await over_redis().aappend(*_messages(SIZE))
    await conversation(f"{key}-core", WORKSPACE).aappend(*_messages(SIZE))
    core = partial(conversation, f"{key}-core", WORKSPACE)
    return [
        *_of_provider("providers on Redis", in_redis, over_redis, theirs.get("Redis"), key),
        *_of_provider("providers in the database", in_database, core, theirs.get("database"), key),
    ]


def _of_provider(name: str, ours: Any, core: Callable[[], Any], theirs: Any, key: str) -> Iterator[Case]:
    def append(provider: Any, make: Callable[[Message], Any]) -> AsyncCall:
        return lambda: _done(provider.append_messages(key, [make(Message.user(text()))]))

    def read(provider: Any) -> AsyncCall:
        return lambda: _done(provider.get_recent_messages(key, READ))

    yield Case(
        f"{name}: append",
        append(ours, _of_ours),
        lambda: core().aappend(Message.user(text())),
        append(theirs, _of_jaf) if theirs else None,
    )
    yield Case(
        f"{name}: read {READ} of 1,000", read(ours), lambda: core().atail(READ), read(theirs) if theirs else None
    )


async def _done(call: Awaitable[Any]) -> None:
    """A provider answers with a failure where others raise."""
    result = await call
    if type(result).__name__ != "Success":
        raise RuntimeError(result)


def _of_ours(message: Message) -> Any:
    return ProvidedMessage(role=message.role, content=message.content)


def _of_jaf(message: Message) -> Any:
    return import_module("jaf.core.types").Message(role=message.role, content=message.content)


async def _flow_cases(client: redis.Redis) -> list[Case]:
    """The document's histories with a window of twenty messages."""
    key = uuid.uuid4().hex
    in_redis = RedisChatHistory(key, client, "ours:")
    over_redis = partial(conversation, key, adapter=RedisAdapter(client, "flow:", plain="default"))
    in_database = DatabaseChatHistory(key, DjangoDatabaseAdapter(), workspace_id=WORKSPACE)
    await in_redis.add_messages(_messages(SIZE))
    await over_redis().aappend(*_messages(SIZE))
    await in_database.add_messages(_messages(SIZE))
    theirs: Sequence[Any] = (None, None)
    if find_spec("nadoo_flow"):
        package: Any = import_module("nadoo_flow")
        theirs = (
            package.RedisChatHistory(key, client, "theirs:"),
            package.DatabaseChatHistory(f"{key}-theirs", DjangoDatabaseAdapter(), client, WORKSPACE),
        )
        for history in theirs:
            await history.add_messages([package.Message(each.role, each.content) for each in _messages(SIZE)])
    return [
        *_of_history("flow on Redis", in_redis, over_redis, theirs[0]),
        *_of_history("flow in the database", in_database, partial(conversation, key, WORKSPACE), theirs[1]),
    ]


def _of_history(name: str, ours: Any, core: Callable[[], Any], theirs: Any) -> Iterator[Case]:
    def append(history: Any, make: Any) -> AsyncCall:
        return lambda: history.add_message(make(text()))

    original: Any = import_module("nadoo_flow") if theirs else None
    yield Case(
        f"{name}: append",
        append(ours, Message.user),
        lambda: core().aappend(Message.user(text())),
        append(theirs, original.Message.user) if theirs else None,
    )
    yield Case(
        f"{name}: read {READ} of 1,000",
        SlidingWindowChatHistory(ours, READ).get_messages,
        lambda: core().awindow(messages=READ),
        original.SlidingWindowChatHistory(theirs, READ).get_messages if theirs else None,
    )


async def _by_turns(ours: AsyncCall, other: AsyncCall, rounds: int) -> Ratio:
    """As ``measure.by_turns``, of coroutines in one event loop: what enters the loop is not timed."""
    medians: tuple[list[float], list[float]] = ([], [])
    for _ in range(5):
        await ours()
        await other()
    for _ in range(rounds):
        times: tuple[list[float], list[float]] = ([], [])
        for _ in range(CALLS):
            for call, spent in zip((ours, other), times, strict=True):
                begin = time.perf_counter()
                await call()
                spent.append(time.perf_counter() - begin)
        for kept, spent in zip(medians, times, strict=True):
            kept.append(statistics.median(spent))
    return Ratio.of(*medians)


def _messages(size: int) -> list[Message]:
    return [Message(role(index), text()) for index in range(size)]
