"""Settings, servers and counters for the tests of the cache; proves nothing itself."""

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from redis import Redis

from chat_memory import Message, conversation
from chat_memory.history.conversation import Conversation

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


def chat(**names: Any) -> Conversation:
    """A new handle on the conversation of these tests."""
    return conversation("k", workspace="acme", **names)


def say(*texts: str, **names: Any) -> int:
    """Appends a message for each text; the version after it."""
    return chat(**names).append(*map(Message.user, texts)).version


def said(**names: Any) -> list[Any]:
    """The contents of the newest messages, as a new handle reads them."""
    return [message.content for message in chat(**names).tail(20)]


def key_of(client: Redis) -> str:
    """The only key there is."""
    (key,) = client.keys()
    return os.fsdecode(key)


def warmed(client: Redis, *texts: str) -> str:
    """A conversation that was said and read: its key."""
    say(*texts)
    said()
    return key_of(client)


def statements(call: Callable[[], object]) -> list[str]:
    """The SQL that a call runs."""
    with CaptureQueriesContext(connection) as queries:
        call()
    return [query["sql"] for query in queries]


def commands(client: Redis, call: Callable[[], object]) -> list[str]:
    """The commands that a call sends to Redis, those of scripts and handshakes left out."""
    seen = []
    with client.monitor() as monitor:
        call()
        client.echo("that was all")
        for command in monitor.listen():
            name, _, rest = command["command"].partition(" ")
            if rest == "that was all":
                break
            if command["client_type"] != "lua" and name not in HANDSHAKE:
                seen.append(command["command"])
    return [command.partition(" ")[0] for command in seen]
