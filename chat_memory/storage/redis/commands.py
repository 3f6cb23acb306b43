"""Owns the calls to Redis, scripts and commands: results are bytes, and Redis errors become the package's errors."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from redis.exceptions import NoScriptError, RedisError

from chat_memory.exceptions import ChatMemoryError, Conflict, StorageUnavailable, ValidationError

_SCRIPTS = Path(__file__).with_name("scripts")


class Commands:
    """Runs scripts and commands on the caller's client.

    Raises:
        ValidationError: the client is not a synchronous Redis client.
    """

    def __init__(self, client: Any) -> None:
        _check_client(client)
        self._client = client

    def script(self, name: str, keys: Sequence[str], *values: Any) -> Any:
        """Run a script and return its result; its source is sent only if Redis does not have it yet.

        Raises:
            Conflict: a key holds a value of another program or version.
            StorageUnavailable: Redis did not answer, or reported an error.
        """
        source, digest = _source(name)
        try:
            return self._execute("EVALSHA", digest, len(keys), *keys, *values)
        except NoScriptError:
            return self._run(keys[0], "EVAL", source, len(keys), *keys, *values)
        except RedisError as error:
            raise _translated(error, keys[0]) from error

    def command(self, name: str, key: str, *values: Any) -> Any:
        """Run a command on one key and return its result.

        Raises:
            ChatMemoryError: see ``script``.
        """
        return self._run(key, name, key, *values)

    def _run(self, key: str, *words: Any) -> Any:
        try:
            return self._execute(*words)
        except RedisError as error:
            raise _translated(error, key) from error

    def _execute(self, *words: Any) -> Any:
        return self._client.execute_command(*words, NEVER_DECODE=True)


def _check_client(client: Any) -> None:
    """Check the client; an asyncio client would silently lose writes, since its coroutines are never awaited.

    Raises:
        ValidationError: the object is not a Redis client, or is an asyncio client.
    """
    if any(kind.__module__.startswith("redis.asyncio") for kind in type(client).__mro__):
        raise ValidationError("must be a synchronous client; async calls run it in a thread", field="client")
    if not callable(getattr(client, "execute_command", None)):
        raise ValidationError(f"must be a redis.Redis, not {type(client).__name__}", field="client")


def _translated(error: RedisError, key: str) -> ChatMemoryError:
    """Conflict where the key holds a foreign value; StorageUnavailable for any other error."""
    if str(error).startswith(("FOREIGN", "WRONGTYPE")):
        return Conflict(f"the key {key!r} holds a value of another program or version")
    return StorageUnavailable(f"Redis: {type(error).__name__}")


@cache
def _source(name: str) -> tuple[str, str]:
    """The source of a script, preceded by the shared functions of session.lua, and its digest."""
    source = "".join((_SCRIPTS / f"{part}.lua").read_text() for part in ("session", name))
    return source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
