"""Owns ``ChatHistory``, the type of any object with the methods of a chat history."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from chat_memory.records import Message, Receipt


@runtime_checkable
class ChatHistory(Protocol):
    """A history of messages; ``Conversation`` is one, and a host may write another with these methods.

    ``isinstance`` only checks the names of the methods. ``min_version``: show no state before this version; a history
    whose reads are always current may ignore it.
    """

    def append(self, *messages: Message, if_version: int | None = None) -> Receipt:
        """Store the messages, adjacent and in this order, exactly once."""

    def tail(self, n: int, *, min_version: int = 0) -> list[Message]:
        """The newest ``n`` messages, oldest first."""

    def head(self, n: int, *, min_version: int = 0) -> list[Message]:
        """The oldest ``n`` messages, oldest first."""

    def messages(self, *, min_version: int = 0) -> list[Message]:
        """All messages, oldest first."""

    def since(self, seq: int, *, min_version: int = 0) -> list[Message]:
        """The messages after position ``seq``, oldest first."""

    def count(self) -> int:
        """How many messages there are."""

    def window(
        self,
        *,
        turns: int | None = None,
        messages: int | None = None,
        tokens: int | None = None,
        system: bool = True,
        greeting: bool = False,
        pending: bool = False,
        min_version: int = 0,
    ) -> list[Message]:
        """The newest whole turns within a budget, and the system messages, as a provider accepts them."""

    def clear(self) -> None:
        """Hide all messages from every reader."""

    async def aappend(self, *messages: Message, if_version: int | None = None) -> Receipt:
        """Async twin of ``append``."""

    async def atail(self, n: int, *, min_version: int = 0) -> list[Message]:
        """Async twin of ``tail``."""

    async def ahead(self, n: int, *, min_version: int = 0) -> list[Message]:
        """Async twin of ``head``."""

    async def amessages(self, *, min_version: int = 0) -> list[Message]:
        """Async twin of ``messages``."""

    async def asince(self, seq: int, *, min_version: int = 0) -> list[Message]:
        """Async twin of ``since``."""

    async def acount(self) -> int:
        """Async twin of ``count``."""

    async def awindow(
        self,
        *,
        turns: int | None = None,
        messages: int | None = None,
        tokens: int | None = None,
        system: bool = True,
        greeting: bool = False,
        pending: bool = False,
        min_version: int = 0,
    ) -> list[Message]:
        """Async twin of ``window``."""

    async def aclear(self) -> None:
        """Async twin of ``clear``."""
