"""Owns a history with branches, which are rows in the store."""

from __future__ import annotations

from typing import Any

from chat_memory.choices import MAIN_BRANCH
from chat_memory.exceptions import BranchNotFound, NotSupported
from chat_memory.flow.base import StoredHistory, Wrapper
from chat_memory.flow.memory import InMemoryChatHistory
from chat_memory.history.conversation import Conversation, conversation
from chat_memory.records import Message, Receipt


class BranchableHistory(Wrapper):
    """A history of several branches, which share what was said before they parted; ``main`` is there from the start.

    The branches are in the store, and every object sees them. Which one is shown is this object's own: nobody else is
    moved by ``switch_branch``.

    Args:
        base_history: a history in memory or in Django's database; None: a new one in memory.

    Attributes:
        current_branch: the one that is read from and added to.

    Raises:
        NotSupported: the store of the other history has no branches.
    """

    outlives_handle = False  # another object shows main

    def __init__(self, base_history: Any = None) -> None:
        super().__init__(InMemoryChatHistory() if base_history is None else base_history)
        self.current_branch = MAIN_BRANCH
        stored = self.beneath
        if stored is None or stored.conversation.place.adapter.branches is None:
            name = type(self.base).__name__ if stored is None else stored.conversation.place.adapter.name
            raise NotSupported(name, "branches", "has no branches")
        self._stored = self._main = _on(stored.conversation, MAIN_BRANCH)

    async def list_branches(self) -> list[str]:
        """The names of all branches, ``main`` first."""
        return [branch.name for branch in await self._main.conversation.abranches()]

    async def create_branch(self, name: str, from_branch: str | None = None) -> None:
        """A new branch that shares all messages of another; None: of the current one. Nothing is copied.

        Raises:
            ValidationError: the name cannot be used.
            BranchExists: there is one of this name.
            BranchNotFound: there is no branch ``from_branch``.
        """
        source = self._stored if from_branch is None else _on(self._main.conversation, from_branch)
        await source.conversation.afork(name)

    async def switch_branch(self, name: str) -> None:
        """Read and add on another branch from now on.

        Raises:
            BranchNotFound: there is no such branch.
        """
        if name not in await self.list_branches():
            raise BranchNotFound(self._main.conversation.key, name)
        self._stored = self._main if name == MAIN_BRANCH else _on(self._main.conversation, name)
        self.current_branch = name

    async def merge_branches(self, source: str, target: str) -> Receipt:
        """Append to one branch what another shows after the last message that they share; once, however often called.

        Raises:
            BranchNotFound: there is no such branch.
            MessageConflict: the target has another message of the same id.
        """
        return await self._main.conversation.amerge(source, target)

    async def get_messages(self) -> list[Message]:
        """The messages of the current branch, those that it shares included, oldest first."""
        return await self._stored.get_messages()

    async def add_message(self, message: Message) -> None:
        """Add a message to the current branch."""
        await self._stored.add_message(message)

    async def add_messages(self, messages: list[Message]) -> None:
        """Add messages to the current branch."""
        await self._stored.add_messages(messages)

    async def clear(self) -> None:
        """Hide all messages of the current branch; the others go on showing what they share with it."""
        await self._stored.conversation.aclear()


def _on(chat: Conversation, branch: str) -> StoredHistory:
    """The history of one branch of a conversation."""
    at = chat.place.address
    named = conversation(chat.key, chat.workspace, branch=branch, adapter=chat.place.adapter, cache_ttl=at.cache_ttl)
    return StoredHistory(named)
