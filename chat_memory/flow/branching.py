"""Owns a history with branches, which are those of the conversation in the store."""

from __future__ import annotations

from typing import Any

from chat_memory.choices import MAIN_BRANCH
from chat_memory.exceptions import BranchNotFound, NotSupported
from chat_memory.flow.base import StoredHistory, Wrapper
from chat_memory.flow.memory import InMemoryChatHistory
from chat_memory.history.conversation import Conversation, conversation
from chat_memory.records import Message, Receipt


class BranchableHistory(Wrapper):
    """A history with branches, which share the messages before their fork; ``main`` always exists.

    The branches are in the store, so every object sees them. The current branch belongs to this object: a call of
    ``switch_branch`` affects no other object.

    Args:
        base_history: a history in memory or in Django's database; None: a new one in memory.

    Attributes:
        current_branch: the name of the branch that is read and added to.

    Raises:
        NotSupported: the store of ``base_history`` has no branches.
    """

    outlives_handle = False  # a new object shows main

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
        """Create a branch that shares all messages of ``from_branch``; None: of the current one. No message is copied.

        Raises:
            ValidationError: the name cannot be used.
            BranchExists: a branch of this name exists.
            BranchNotFound: there is no branch ``from_branch``.
        """
        source = self._stored if from_branch is None else _on(self._main.conversation, from_branch)
        await source.conversation.afork(name)

    async def switch_branch(self, name: str) -> None:
        """Read and add to another branch from now on.

        Raises:
            BranchNotFound: there is no such branch.
        """
        if name not in await self.list_branches():
            raise BranchNotFound(self._main.conversation.key, name)
        self._stored = self._main if name == MAIN_BRANCH else _on(self._main.conversation, name)
        self.current_branch = name

    async def merge_branches(self, source: str, target: str) -> Receipt:
        """Append to one branch the messages that another shows after their last shared one; repeating it adds nothing.

        Raises:
            BranchNotFound: there is no such branch.
            MessageConflict: the target has another message with the same id.
        """
        return await self._main.conversation.amerge(source, target)

    async def get_messages(self) -> list[Message]:
        """The messages of the current branch, including those that it shares, oldest first."""
        return await self._stored.get_messages()

    async def add_message(self, message: Message) -> None:
        """Add a message to the current branch."""
        await self._stored.add_message(message)

    async def add_messages(self, messages: list[Message]) -> None:
        """Add messages to the current branch."""
        await self._stored.add_messages(messages)

    async def clear(self) -> None:
        """Hide all messages of the current branch; other branches still show the messages that they share."""
        await self._stored.conversation.aclear()


def _on(chat: Conversation, branch: str) -> StoredHistory:
    """The history of one branch of a conversation."""
    at = chat.place.address
    named = conversation(chat.key, chat.workspace, branch=branch, adapter=chat.place.adapter, cache_ttl=at.cache_ttl)
    return StoredHistory(named)
