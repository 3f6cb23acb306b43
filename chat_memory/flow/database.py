"""Owns histories in a database: Django's through this package's adapter, or any other through the host's."""

from __future__ import annotations

import logging
from typing import Any, Protocol, runtime_checkable

import msgspec

from chat_memory import metrics, wiring
from chat_memory.conf import live
from chat_memory.exceptions import ValidationError
from chat_memory.flow.base import BaseChatHistory, StoredHistory
from chat_memory.flow.foreign import ForeignHistory
from chat_memory.flow.messages import as_message, as_messages
from chat_memory.flow.redis import KEY_PREFIX
from chat_memory.history.conversation import Conversation, conversation
from chat_memory.log_limit import LogLimit
from chat_memory.records import Message
from chat_memory.rules.numbers import check_cache_ttl

logger = logging.getLogger("chat_memory.flow")

_log_limit = LogLimit()


@runtime_checkable
class DatabaseAdapter(Protocol):
    """The methods of an adapter that stores messages by session and workspace, in any database."""

    async def save_message(self, session_id: str, message: Message, workspace_id: str | None = None) -> None:
        """Store a message."""

    async def save_messages(self, session_id: str, messages: list[Message], workspace_id: str | None = None) -> None:
        """Store messages in one transaction."""

    async def get_messages(
        self, session_id: str, workspace_id: str | None = None, limit: int | None = None
    ) -> list[Message]:
        """The newest ``limit`` messages, oldest first; None: all."""

    async def clear_messages(self, session_id: str, workspace_id: str | None = None) -> None:
        """Remove all messages of a session."""


class DatabaseMessage(Message, frozen=True):
    """A message as ``DjangoDatabaseAdapter`` returns it; its ``to_dict`` has the keys of the documents' messages.

    Attributes:
        timestamp: the same as ``created_at``.
    """

    @property
    def timestamp(self) -> Any:
        """When the message was stored, as aware UTC."""
        return self.created_at

    def to_dict(self) -> dict[str, Any]:
        """Role and content, and name and metadata if they are set."""
        further = {"name": self.name, "metadata": self.metadata}
        shown = {name: value for name, value in further.items() if value}
        return {"role": self.role, "content": self.content} | shown


class DjangoDatabaseAdapter:
    """The ``DatabaseAdapter`` over this app's tables, for ``DatabaseChatHistory`` here and in other packages.

    Args:
        using: the database alias; None: where the router writes sessions.
    """

    def __init__(self, using: str | None = None) -> None:
        self.using = using

    def conversation(
        self,
        session_id: str,
        workspace_id: str | None = None,
        cache_ttl: float | msgspec.UnsetType | None = msgspec.UNSET,
    ) -> Conversation:
        """The conversation of a session; ``cache_ttl`` as in ``conversation()``.

        Raises:
            ValidationError: a name cannot be used.
        """
        return conversation(session_id, workspace_id, using=self.using, cache_ttl=cache_ttl)

    async def save_message(self, session_id: str, message: Any, workspace_id: str | None = None) -> None:
        """Store a message of this package, or of another class with role and content.

        Raises:
            ChatMemoryError: as ``Conversation.append``.
        """
        await self.conversation(session_id, workspace_id).aappend(as_message(message))

    async def save_messages(self, session_id: str, messages: list[Any], workspace_id: str | None = None) -> None:
        """Store messages next to each other, all or none.

        Raises:
            ChatMemoryError: as ``Conversation.append``.
        """
        ready, chat = as_messages(messages), self.conversation(session_id, workspace_id)
        if ready:
            await chat.aappend(*ready)

    async def get_messages(
        self, session_id: str, workspace_id: str | None = None, limit: int | None = None
    ) -> list[Message]:
        """The newest ``limit`` messages, oldest first; None: all.

        Raises:
            ValidationError: a name cannot be used, or ``limit`` is not a whole number from 0.
        """
        chat = self.conversation(session_id, workspace_id)
        found = await (chat.amessages() if limit is None else chat.atail(limit))
        return [DatabaseMessage(*msgspec.structs.astuple(message)) for message in found]

    async def clear_messages(self, session_id: str, workspace_id: str | None = None) -> None:
        """Remove a session with all its messages for good."""
        await self.conversation(session_id, workspace_id).adelete()


_METHODS = ("save_message", "save_messages", "get_messages", "clear_messages")


class DatabaseChatHistory(BaseChatHistory):
    """A history in a database, with Redis in front of it.

    With a ``DjangoDatabaseAdapter`` it is a ``conversation()`` with the cache of the settings; passing a client only
    means that this session is cached, for ``redis_ttl`` seconds. With another adapter there is no session row to
    compare a copy with. The copy is then filled under a lease, deleted on every write through this class, and at most
    ``redis_ttl`` seconds old, so writes that bypass this class are seen after that time.

    Args:
        session_id: the session's id.
        db_adapter: an object with the methods of ``DatabaseAdapter``.
        redis_client: a synchronous or asyncio client; None: every read asks the database.
        workspace_id: the tenant's slug; None: DEFAULT_WORKSPACE, or with another adapter: none.
        redis_key_prefix: the prefix of the keys of copies; the cache of the settings has its own keys.
        redis_ttl: the seconds that the session stays cached; None: until it is evicted; 0: it is not cached.

    Raises:
        ValidationError: an argument cannot be used; the error names it.
    """

    outlives_handle = True

    def __init__(  # noqa: PLR0917  # as the document prints it
        self,
        session_id: str,
        db_adapter: Any,
        redis_client: Any | None = None,
        workspace_id: str | None = None,
        redis_key_prefix: str = KEY_PREFIX,
        redis_ttl: float | None = 3600,
    ) -> None:
        check_cache_ttl(redis_ttl, "redis_ttl")
        self.session_id = session_id
        self.db_adapter = db_adapter
        self.redis = redis_client
        self.workspace_id = workspace_id
        self.redis_key_prefix = redis_key_prefix
        self.redis_ttl = redis_ttl
        self._kept: BaseChatHistory
        if _is_ours(db_adapter):
            _say_if_uncached(redis_client, redis_ttl)
            ttl = 0 if redis_client is None else redis_ttl
            self._kept = StoredHistory(db_adapter.conversation(session_id, workspace_id, ttl))
        elif not isinstance(db_adapter, DatabaseAdapter):
            raise ValidationError(f"lacks methods of DatabaseAdapter: {type(db_adapter).__name__}", field="db_adapter")
        else:
            self._kept = ForeignHistory(
                session_id,
                workspace_id,
                adapter=db_adapter,
                client=redis_client,
                prefix=redis_key_prefix,
                ttl=redis_ttl,
            )
        self.conversation = self._kept.conversation

    @property
    def stored(self) -> StoredHistory | None:
        """The history of the ``conversation()``, if there is one and no subclass reads in another way."""
        return self._kept.stored if type(self).get_messages is DatabaseChatHistory.get_messages else None

    async def get_messages(self) -> list[Message]:
        """All messages, oldest first, from the cache if it may answer, otherwise from the database."""
        return await self._kept.get_messages()

    async def add_message(self, message: Message) -> None:
        """Store a message, and update or invalidate the cache.

        Raises:
            ChatMemoryError: it cannot be stored.
        """
        await self._kept.add_message(message)

    async def add_messages(self, messages: list[Message]) -> None:
        """Store messages in one transaction, and update or invalidate the cache.

        Raises:
            ChatMemoryError: they cannot be stored.
        """
        await self._kept.add_messages(messages)

    async def clear(self) -> None:
        """Remove all messages for good, from the database and from the cache."""
        await self._kept.clear()

    def get_hit_rate(self) -> float:
        """The share of cache reads that were hits, of all sessions and processes; 0.0 before the first read."""
        return metrics.hit_rate()

    async def aget_hit_rate(self) -> float:
        """Async twin of ``get_hit_rate``, which may ask Redis."""
        return await metrics.ahit_rate()


def _is_ours(adapter: Any) -> bool:
    """Whether an adapter is a ``DjangoDatabaseAdapter`` whose methods no subclass overrides."""
    ours = DjangoDatabaseAdapter
    return isinstance(adapter, ours) and all(getattr(type(adapter), name) is getattr(ours, name) for name in _METHODS)


def _say_if_uncached(redis_client: Any, ttl: float | None) -> None:
    """Log a warning if a client was given, but the settings have no cache."""
    if redis_client is not None and ttl != 0 and wiring.cache_mode(live.now()) == "off" and _log_limit.allows("off"):
        logger.warning("A history was given a Redis client, but the settings of CHAT_MEMORY have no cache: see CACHE")
