"""Owns the history that an adapter of the host stores, with a copy in Redis and no session row to compare it with."""

from __future__ import annotations

import logging
from functools import lru_cache, partial
from typing import Any

import msgspec
from asgiref.sync import sync_to_async

from chat_memory.cache.client import CacheClient
from chat_memory.cache.connecting import quickened
from chat_memory.cache.leased import LeasedValues
from chat_memory.flow.base import BaseChatHistory
from chat_memory.flow.messages import as_message, as_messages
from chat_memory.history.stamping import stamped
from chat_memory.log_limit import LogLimit
from chat_memory.records import Message
from chat_memory.rules.names import check_key, check_workspace
from chat_memory.storage.redis.clients import blocking

logger = logging.getLogger("chat_memory.flow")

_CLIENTS = 32
"""The most Redis clients for which a process remembers the copies that could not be deleted."""
_log_limit = LogLimit()


class ForeignHistory(BaseChatHistory):
    """The history of a session in an adapter of the host; a copy in Redis is used until a write or until it expires.

    Args:
        session_id: the session's id.
        workspace_id: the workspace of the session; None: none, which is not the default workspace.
        adapter: an object with the methods of ``DatabaseAdapter``.
        client: the client of the Redis for the copies; None: no copies.
        prefix: the prefix of the copies' keys.
        ttl: the seconds that a copy is used; None: until a write; 0: no copies.
    """

    outlives_handle = True

    def __init__(
        self,
        session_id: str,
        workspace_id: str | None,
        *,
        adapter: Any,
        client: Any,
        prefix: str,
        ttl: float | None,
    ) -> None:
        check_key(session_id, "session_id")
        if workspace_id is not None:
            check_workspace(workspace_id)
        self._adapter = adapter
        self._names = {"session_id": session_id, "workspace_id": workspace_id}
        usable = None if client is None else blocking(client, "redis_client")
        self._values = None if usable is None or ttl == 0 else _values_of(usable)
        self._key = prefix + key_of(session_id, workspace_id)
        self._ttl = ttl

    async def get_messages(self) -> list[Message]:
        """All messages, oldest first, from the copy in Redis, otherwise from the adapter."""
        values = self._values
        if values is None:
            return await self._read()
        copy, lease = await sync_to_async(values.look)(self._key)
        messages = None if copy is None else _decoded(copy)
        if messages is not None:
            return messages
        if copy is not None:
            await sync_to_async(values.drop)(self._key)
        messages = await self._read()
        if lease:
            text = msgspec.json.encode([message.to_dict() for message in messages])
            await sync_to_async(values.fill)(self._key, lease, text, self._ttl)
        return messages

    async def add_message(self, message: Message) -> None:
        """Pass a message to the adapter, validated and with id and time, and delete the copy.

        Raises:
            ValidationError: it cannot be stored.
        """
        (ready,) = stamped([as_message(message)])
        await self._written(partial(self._adapter.save_message, message=ready, **self._names))

    async def add_messages(self, messages: list[Message]) -> None:
        """Pass messages to the adapter in one call, validated and with ids and times, and delete the copy.

        Raises:
            ValidationError: one of them cannot be stored.
        """
        ready = stamped(as_messages(messages))
        if ready:
            await self._written(partial(self._adapter.save_messages, messages=ready, **self._names))

    async def clear(self) -> None:
        """Have the adapter remove all messages, and delete the copy."""
        await self._written(partial(self._adapter.clear_messages, **self._names))

    async def _read(self) -> list[Message]:
        return [_as_read(message) for message in await self._adapter.get_messages(**self._names)]

    async def _written(self, write: Any) -> None:
        """Run a write; the copy is deleted even if it fails, since it may have had an effect."""
        try:
            await write()
        finally:
            values = self._values
            if values is not None and not await sync_to_async(values.drop)(self._key) and _log_limit.allows("copy"):
                logger.warning(
                    "A copy of a history could not be deleted from Redis: others may read it for %s",
                    "ever" if self._ttl is None else f"{self._ttl:g} seconds",
                )


def key_of(session_id: str, workspace_id: str | None) -> str:
    """The part of a key after its prefix; different pairs of names give different keys.

    It is ``workspace:session``, or ``session`` without a workspace. A slug has no ``:``, and in a session id without a
    workspace a ``:`` is quoted.
    """
    if workspace_id is None:
        return session_id.replace("%", "%25").replace(":", "%3A")
    return f"{workspace_id}:{session_id}"


@lru_cache(_CLIENTS)
def _values_of(client: Any) -> LeasedValues:
    """The copies in the Redis of a client; all histories of a client share one object and its record of failures."""
    return LeasedValues(CacheClient(lambda: quickened(client)))


def _as_read(message: Any) -> Message:
    return message if isinstance(message, Message) else as_message(message)


def _decoded(copy: bytes) -> list[Message] | None:
    """The messages of a copy; None if ``get_messages`` did not write it."""
    try:
        return [Message.from_dict(message) for message in msgspec.json.decode(copy)]
    except (ValueError, TypeError, RecursionError, msgspec.MsgspecError):
        return None
