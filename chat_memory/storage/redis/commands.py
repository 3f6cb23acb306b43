"""Owns the calls to Redis, scripts and commands: results are bytes, and Redis errors become the package's errors."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from redis.exceptions import ClusterCrossSlotError, NoScriptError, RedisError

from chat_memory.exceptions import ChatMemoryError, Conflict, StorageUnavailable, ValidationError

_SCRIPTS = Path(__file__).with_name("scripts")
_FOREIGN = re.compile(r"WRONGTYPE|FOREIGN (?P<key>\d+)")


class Commands:
    """Runs scripts and commands on the caller's client.

    Attributes:
        has_slots: whether it is a client of a Cluster, where the keys of one script must be in one slot.

    Raises:
        ValidationError: the client is not a synchronous Redis client.
    """

    def __init__(self, client: Any) -> None:
        _check_client(client)
        self._client = client
        self.has_slots = hasattr(client, "get_node_from_key")

    def script(self, name: str, keys: Sequence[str], *values: Any) -> Any:
        """Run a script and return its result; its source is sent only if Redis does not have it yet.

        Raises:
            Conflict: a key holds a value of another program or version.
            ForeignOwner: the session belongs to somebody else than the caller.
            SeveralSlots: the keys are in several slots of a Cluster; nothing was done.
            StorageUnavailable: Redis did not answer, or reported an error.
        """
        source, digest = _source(name)
        try:
            return self._execute("EVALSHA", digest, len(keys), *keys, *values)
        except NoScriptError:
            return self._run(keys, "EVAL", source, len(keys), *keys, *values)
        except RedisError as error:
            raise _translated(error, keys) from error

    def command(self, name: str, key: str, *values: Any) -> Any:
        """Run a command on one key and return its result.

        Raises:
            ChatMemoryError: see ``script``.
        """
        return self._run([key], name, key, *values)

    def _run(self, keys: Sequence[str], *words: Any) -> Any:
        try:
            return self._execute(*words)
        except RedisError as error:
            raise _translated(error, keys) from error

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


class ForeignOwner(ChatMemoryError):
    """The session that a script found belongs to somebody else than its caller."""


class SeveralSlots(ChatMemoryError):
    """The keys of a script are in several slots of a Cluster."""


def _translated(error: RedisError, keys: Sequence[str]) -> ChatMemoryError:
    """Conflict where the key holds a foreign value; StorageUnavailable for any other error."""
    if isinstance(error, ClusterCrossSlotError):
        return SeveralSlots()
    if str(error).startswith("NOTOWNER"):
        return ForeignOwner()
    foreign = _FOREIGN.match(str(error))
    if foreign:
        key = keys[int(foreign["key"] or 1) - 1]
        return Conflict(f"the key {key!r} holds a value of another program or version")
    return StorageUnavailable(
        f"Redis failed ({type(error).__name__}), so it is unknown whether the call took effect: an append is "
        "safe to repeat with the same message ids"
    )


@cache
def _source(name: str) -> tuple[str, str]:
    """The source of a script, preceded by the shared functions of session.lua, and its digest."""
    source = "".join((_SCRIPTS / f"{part}.lua").read_text() for part in ("session", name))
    return source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
