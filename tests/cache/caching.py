"""Turns the cache on for a test, and counts the statements and commands of a call; proves nothing itself."""

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from redis import Redis

from chat_memory import metrics
from tests.conversations import chat, contents, say
from tests.watched_redis import commands_in_redis

ALIAS = "chats"
HIT = {"strict": 1, "bounded": 0}
"""Statements of a read that the cache answers."""
HANDSHAKE = {"HELLO", "CLIENT", "SELECT", "AUTH", "COMMAND", "PING"}


@contextmanager
def caching(mode: str | None, url: Any, options: Any = None, **settings: Any) -> Iterator[None]:
    """The cache in a mode over the Redis at `url`, with a client, and so a breaker, of its own."""
    alias = {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": url,
        "KEY_PREFIX": uuid.uuid4().hex,
        "OPTIONS": options or {},
    }
    chosen = {"CACHE": mode, "CACHE_ALIAS": ALIAS, "CACHE_MAX_AGE": 60, **settings}
    with override_settings(CACHES={"default": alias, ALIAS: alias}, CHAT_MEMORY=chosen):
        yield


def newest_texts(**names: Any) -> list[Any]:
    """The contents of the newest messages, as a new handle reads them."""
    return contents(chat(**names).tail(20))


def key_of(client: Redis) -> str:
    """The only key there is."""
    (key,) = client.keys()
    return os.fsdecode(key)


def warmed(client: Redis, *texts: str) -> str:
    """The key of a conversation that was written and then read."""
    say(*texts)
    newest_texts()
    return key_of(client)


def statements(call: Callable[[], object]) -> list[str]:
    """The SQL that a call runs."""
    with CaptureQueriesContext(connection) as queries:
        call()
    return [query["sql"] for query in queries]


def redis_commands(client: Redis, call: Callable[[], object]) -> list[str]:
    """The commands that a call sends to Redis, those of scripts and handshakes left out."""
    sent = [each["command"] for each in commands_in_redis(client, call) if each["client_type"] != "lua"]
    names = [command.partition(" ")[0] for command in sent]
    return [name for name in names if name not in HANDSHAKE]


def counts_of(call: Callable[[], object]) -> dict[str, int]:
    """What a call adds to the totals."""
    before = metrics.totals()
    call()
    return {name: count - before[name] for name, count in metrics.totals().items() if count != before[name]}
