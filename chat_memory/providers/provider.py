"""Owns the calls of every provider: each makes one thread hop and returns ``Success`` or ``Failure``."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from asgiref.sync import sync_to_async

from chat_memory.exceptions import MessageNotFound, SessionNotFound
from chat_memory.providers import finding, writing
from chat_memory.providers.conversations import ConversationMemory, MemoryQuery
from chat_memory.providers.errors import EXPECTED, MemoryConnectionError, translated
from chat_memory.providers.messages import shown
from chat_memory.providers.places import Place
from chat_memory.providers.results import Failure, Result, Success
from chat_memory.rules.numbers import whole_number

logger = logging.getLogger("chat_memory.providers")


class StoredProvider:
    """A provider over ``conversation()``.

    Attributes:
        name: its name in errors and reports.
        config: the configuration that it was made with.
        place: where its conversations are stored.
    """

    name = "Stored"

    def __init__(self, config: Any, place: Place, newest: int | None = None) -> None:
        self.config = config
        self.place = place
        self._newest = newest

    async def store_messages(
        self, conversation_id: str, messages: Any, metadata: dict[str, Any] | None = None
    ) -> Result:
        """Append the messages whose ids are not stored yet, and merge the metadata.

        Stored messages are not replaced or removed, so repeating the call adds nothing. ``metadata["user_id"]`` becomes
        the owner of the conversation if it has none yet.
        """
        return await self._answer("store_messages", self._store, conversation_id, messages, metadata)

    async def store_run(self, conversation_id: str, messages: Any, metadata: dict[str, Any] | None = None) -> Result:
        """As ``store_messages``, for an engine that passes back what it read; messages deleted since stay deleted."""
        return await self._answer("store_messages", self._store, conversation_id, messages, metadata, engine=True)

    async def get_conversation(self, conversation_id: str) -> Result:
        """The ``ConversationMemory``; ``Success(None)``, which is false, if there is none. Nothing is written."""
        return await self._answer("get_conversation", self._get, conversation_id)

    async def append_messages(
        self, conversation_id: str, messages: Any, metadata: dict[str, Any] | None = None
    ) -> Result:
        """Append messages to a conversation that exists, adjacent, all or none, and merge the metadata."""
        call, place = writing.append, self.place
        return await self._answer("append_messages", call, place, conversation_id, messages, metadata)

    async def find_conversations(self, query: MemoryQuery) -> Result:
        """A list of the conversations that meet a query, last active first."""
        return await self._answer("find_conversations", finding.find, self.place, query, self._newest)

    async def get_recent_messages(self, conversation_id: str, limit: int = 50) -> Result:
        """A list of the newest messages, oldest first; 0 returns none."""
        return await self._answer("get_recent_messages", self._recent, conversation_id, limit)

    async def delete_conversation(self, conversation_id: str) -> Result:
        """Delete a conversation; False if there was none."""
        return await self._answer("delete_conversation", lambda: self.place.chat(conversation_id).delete())

    async def clear_user_conversations(self, user_id: Any) -> Result:
        """Delete the conversations of a user, and those without an owner that name the user; the number of them."""
        return await self._answer("clear_user_conversations", finding.erase, self.place, user_id)

    async def get_stats(self, user_id: Any = None) -> Result:
        """The counts of all conversations, or of a user's, by the documented keys."""
        return await self._answer("get_stats", finding.stats, self.place, user_id)

    async def health_check(self) -> Result:
        """A mapping: ``healthy``, ``message`` or ``error``, ``latency_ms``, ``provider``, ``metrics`` and ``details``.

        If the store does not answer, it is a ``Failure``, which can be read in the same way.
        """
        report = await sync_to_async(self._health)()
        error = report.get("error")
        found = {"healthy": error is None, "provider": self.name} | report
        return Success(found) if error is None else Failure(MemoryConnectionError(error, self.name), found)

    async def close(self) -> Result:
        """Close the connections that this object made; a later call connects again."""
        return await self._answer("close", self._close)

    async def truncate_conversation_after(self, conversation_id: str, message_id: str) -> Result:
        """Remove a message and all after it from the conversation; the number of them, 0 if there is no such message.

        In a database and in memory they stay stored on the former branch.
        """
        call, place = writing.truncate, self.place
        return await self._answer("truncate_conversation_after", call, place, conversation_id, message_id)

    async def get_conversation_until_message(self, conversation_id: str, message_id: str) -> Result:
        """The conversation as it was before a message; ``Success(None)`` if either does not exist."""
        return await self._answer("get_conversation_until_message", self._until, conversation_id, str(message_id))

    async def mark_regeneration_point(
        self, conversation_id: str, message_id: str, regeneration_metadata: dict[str, Any]
    ) -> Result:
        """Record in the metadata that the answer at a message is generated again."""
        call, place = writing.mark, self.place
        return await self._answer(
            "mark_regeneration_point", call, place, conversation_id, message_id, regeneration_metadata
        )

    async def get_previous_response_id(self, conversation_id: str) -> Result:
        """The id of the newest response that was recorded; None if none was."""
        return await self._noted("get_previous_response_id", conversation_id, writing.RESPONSE)

    async def get_previous_response_message_id(self, conversation_id: str) -> Result:
        """The id of the message of the newest response; None if none was recorded."""
        return await self._noted("get_previous_response_message_id", conversation_id, writing.RESPONSE_MESSAGE)

    async def get_prior_response_id(self, conversation_id: str) -> Result:
        """The id of the response before the newest; None if none was recorded."""
        return await self._noted("get_prior_response_id", conversation_id, writing.PRIOR_RESPONSE)

    async def get_previous_response_message_index(self, conversation_id: str) -> Result:
        """The number of messages up to the newest response; None if none was recorded."""
        return await self._noted("get_previous_response_message_index", conversation_id, writing.RESPONSE_INDEX)

    async def set_previous_response_id(  # noqa: PLR0917  # jaf's signature
        self,
        conversation_id: str,
        response_id: str,
        message_id: str | None = None,
        message_index: int | None = None,
        user_id: str | None = None,
        shift: bool = True,
    ) -> Result:
        """Record the newest response; the former newest becomes the prior one, or with ``shift=False`` none does."""
        message = (message_id, message_index)

        def write() -> bool:
            made = writing.set_response(self.place, conversation_id, response_id, message, user_id, shift=shift)
            self._made(made)
            return True

        return await self._answer("set_previous_response_id", write)

    async def _answer(self, operation: str, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Result:
        """The result of a call in a thread; an expected error becomes a ``Failure``."""
        try:
            return Success(await sync_to_async(call)(*args, **kwargs))
        except EXPECTED as error:
            logger.debug("%s of a %s provider failed: %s", operation, self.name, type(error).__name__)
            return Failure(translated(error, self.name, operation))

    async def _noted(self, operation: str, conversation_id: str, key: str) -> Result:
        def read() -> Any:
            record = self.place.chat(conversation_id).session()
            return record and record.metadata.get(key)

        return await self._answer(operation, read)

    def _store(self, conversation_id: str, messages: Any, metadata: Any, *, engine: bool = False) -> Any:
        receipt, made = writing.store(self.place, conversation_id, messages, metadata, engine=engine)
        self._made(made)
        return receipt

    def _get(self, conversation_id: str) -> ConversationMemory | None:
        chat = self.place.chat(conversation_id)
        record = chat.session()
        if record is None:
            return None
        return finding.made(record, chat.messages() if self._newest is None else chat.tail(self._newest))

    def _recent(self, conversation_id: str, limit: int) -> list[Any]:
        number = whole_number(limit, "limit")
        if self._newest is not None:
            number = min(number, self._newest)

        def newest(chat: Any) -> list[Any]:
            found = chat.tail(number)
            if not found and chat.session() is None:
                raise SessionNotFound(chat.key, chat.workspace)
            return [shown(message) for message in found]

        return self.place.with_existing(conversation_id, newest, tells=True)

    def _until(self, conversation_id: str, message_id: str) -> ConversationMemory | None:
        chat = self.place.chat(conversation_id)
        record = chat.session()
        try:
            before = chat.until(message_id)[:-1] if record else []
        except MessageNotFound:
            return None
        if record is None:
            return None
        found = finding.made(record, before)
        found.metadata.update(
            truncated_for_regeneration=True,
            truncated_until_message=message_id,
            original_message_count=record.message_count,
            truncated_message_count=len(before),
        )
        return found

    def _made(self, made: bool) -> None:  # overridden where the number of conversations is bounded
        """Called after a call that may have created a conversation."""

    def _health(self) -> dict[str, Any]:
        """The report of a health check: ``message`` or ``error``, ``latency_ms``, ``metrics`` and ``details``."""
        raise NotImplementedError

    def _close(self) -> bool:
        return True
