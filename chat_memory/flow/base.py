"""Owns the base of all histories, and the history of a ``conversation()``; it must not choose a back end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from chat_memory.flow.messages import as_message, as_messages
from chat_memory.history.conversation import Conversation
from chat_memory.records import Message


class BaseChatHistory(ABC):
    """The history of one conversation, for async code; derive from it for a store of your own.

    Attributes:
        conversation: the ``conversation()`` that holds the messages; None if they are elsewhere.
        outlives_handle: whether a new object of this class finds the same messages, so that a manager may drop this
            one.
    """

    conversation: Conversation | None = None
    outlives_handle: bool = False

    @property
    def stored(self) -> StoredHistory | None:
        """This history's ``StoredHistory``, if it shows all messages of a conversation unchanged; otherwise None."""
        return None

    @abstractmethod
    async def get_messages(self) -> list[Message]:
        """All messages, oldest first."""

    @abstractmethod
    async def add_message(self, message: Message) -> None:
        """Add a message."""

    @abstractmethod
    async def add_messages(self, messages: list[Message]) -> None:
        """Add messages, in this order."""

    @abstractmethod
    async def clear(self) -> None:
        """Remove all messages."""


class StoredHistory(BaseChatHistory):
    """The history of a conversation in any store of this package.

    Every call makes one thread hop, so that the event loop never waits for a server. A handle reads its own writes in
    every cache mode.
    """

    conversation: Conversation

    def __init__(self, conversation: Conversation) -> None:
        self.conversation = conversation
        self._version = 0

    @property
    def stored(self) -> StoredHistory | None:
        """This object, unless a subclass overrides ``get_messages``."""
        return self if type(self).get_messages is StoredHistory.get_messages else None

    async def get_messages(self) -> list[Message]:
        """All messages, oldest first.

        Raises:
            ChatMemoryError: as ``Conversation.messages``.
        """
        return await self.conversation.amessages(min_version=self._version)

    async def get_window(self, size: int) -> list[Message]:
        """As many of the newest whole turns as have at most ``size`` messages, and the system messages.

        Nothing else is read. If there is no turn, because there is no user's message, the newest ``size`` messages.
        """
        chat, least = self.conversation, self._version
        shown = await chat.awindow(messages=size, greeting=True, pending=True, min_version=least)
        if any(message.role != "system" for message in shown):
            return shown
        return await chat.atail(size, min_version=least)

    async def add_message(self, message: Message) -> None:
        """Store a message.

        Raises:
            ValidationError: it cannot be stored.
            ChatMemoryError: as ``Conversation.append``.
        """
        self._version = (await self.conversation.aappend(as_message(message))).version

    async def add_messages(self, messages: list[Message]) -> None:
        """Store messages next to each other, all or none.

        Raises:
            ValidationError: one of them cannot be stored.
            ChatMemoryError: as ``Conversation.append``.
        """
        ready = as_messages(messages)
        if ready:
            self._version = (await self.conversation.aappend(*ready)).version

    async def clear(self) -> None:
        """Remove the conversation for good, from the database and from the cache."""
        await self.conversation.adelete()
        self._version = 0


class Wrapper(BaseChatHistory):
    """A history around another one, whose messages it shows in its own way.

    Attributes:
        base: the wrapped history, of any class with the methods of ``BaseChatHistory``.
    """

    def __init__(self, base_history: Any) -> None:
        self.base = base_history

    @property
    def conversation(self) -> Conversation | None:  # type: ignore[override]  # a plain attribute of the base class
        """The conversation of the wrapped history."""
        found: Conversation | None = getattr(self.base, "conversation", None)
        return found

    @property
    def outlives_handle(self) -> bool:  # type: ignore[override]
        """Whether the wrapped history does."""
        return bool(getattr(self.base, "outlives_handle", False))

    @property
    def beneath(self) -> StoredHistory | None:
        """The wrapped history, if it shows all messages of a conversation unchanged; otherwise None."""
        found: StoredHistory | None = getattr(self.base, "stored", None)
        return found

    async def get_messages(self) -> list[Message]:
        """All messages of the wrapped history, oldest first."""
        messages: list[Message] = await self.base.get_messages()
        return messages

    async def add_message(self, message: Message) -> None:
        """Add a message to the wrapped history."""
        await self.base.add_message(as_message(message))

    async def add_messages(self, messages: list[Message]) -> None:
        """Add messages to the wrapped history."""
        await self.base.add_messages(as_messages(messages))

    async def clear(self) -> None:
        """Remove all messages of the wrapped history."""
        await self.base.clear()
