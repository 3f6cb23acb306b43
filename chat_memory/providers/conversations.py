"""Owns the records and the protocol of providers: a conversation with its metadata, and a query."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

from chat_memory.integrations.jaf import ConversationBase, QueryBase
from chat_memory.providers.messages import Message
from chat_memory.providers.results import Result


@dataclass(frozen=True)
class ConversationMemory(ConversationBase):
    """A conversation as it was when it was read; a copy that nobody else changes.

    Attributes:
        conversation_id: the id, which is the session's key.
        user_id: the owner; None if there is none.
        messages: a tuple, oldest first.
        metadata: the stored metadata, and the derived ``created_at``, ``updated_at``, ``last_activity`` and
            ``total_messages``; times are text in ISO form.
    """

    conversation_id: str
    user_id: str | None = None
    messages: Any = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "messages", tuple(self.messages or ()))


@dataclass(frozen=True)
class MemoryQuery(QueryBase):
    """A query for conversations that meet every condition given; None is no condition.

    Attributes:
        conversation_id: the one with this id.
        user_id: those of this user.
        trace_id: those whose metadata has this ``trace_id``.
        limit: the most conversations to return; None: all; 0: none.
        offset: the number of conversations to skip.
        since: those whose newest message is at this time or later; a naive time is in local time.
        until: those whose newest message is before this time.
    """

    conversation_id: str | None = None
    user_id: str | None = None
    trace_id: Any = None
    limit: int | None = None
    offset: int | None = None
    since: datetime | None = None
    until: datetime | None = None


@runtime_checkable
class MemoryProvider(Protocol):
    """The calls of every provider; each returns ``Success`` or ``Failure``."""

    async def store_messages(
        self, conversation_id: str, messages: list[Message], metadata: dict[str, Any] | None = None
    ) -> Result:
        """Store the messages that are not stored yet, and merge the metadata."""

    async def get_conversation(self, conversation_id: str) -> Result:
        """The conversation; ``Success(None)`` if there is none."""

    async def append_messages(
        self, conversation_id: str, messages: list[Message], metadata: dict[str, Any] | None = None
    ) -> Result:
        """Add messages to a conversation that exists."""

    async def find_conversations(self, query: MemoryQuery) -> Result:
        """The conversations that meet a query."""

    async def get_recent_messages(self, conversation_id: str, limit: int = 50) -> Result:
        """The newest messages."""

    async def delete_conversation(self, conversation_id: str) -> Result:
        """Remove a conversation."""

    async def clear_user_conversations(self, user_id: str) -> Result:
        """Remove all conversations of a user."""

    async def get_stats(self, user_id: str | None = None) -> Result:
        """Count conversations and messages."""

    async def health_check(self) -> Result:
        """Whether the store answers."""

    async def close(self) -> Result:
        """Close connections."""

    async def truncate_conversation_after(self, conversation_id: str, message_id: str) -> Result:
        """Remove a message and all messages after it from the conversation."""

    async def get_conversation_until_message(self, conversation_id: str, message_id: str) -> Result:
        """The conversation as it was before a message."""

    async def mark_regeneration_point(
        self, conversation_id: str, message_id: str, regeneration_metadata: dict[str, Any]
    ) -> Result:
        """Record that the answer at a message is generated again."""

    async def get_previous_response_id(self, conversation_id: str) -> Result:
        """The id of the newest response."""

    async def get_previous_response_message_id(self, conversation_id: str) -> Result:
        """The id of the message of the newest response."""

    async def get_prior_response_id(self, conversation_id: str) -> Result:
        """The id of the response before the newest."""

    async def get_previous_response_message_index(self, conversation_id: str) -> Result:
        """The number of messages up to the newest response."""

    async def set_previous_response_id(  # noqa: PLR0917  # jaf's signature
        self,
        conversation_id: str,
        response_id: str,
        message_id: str | None = None,
        message_index: int | None = None,
        user_id: str | None = None,
        shift: bool = True,
    ) -> Result:
        """Record the id of the newest response."""
