"""Owns the contract's part for readers who keep copies of conversations, or of lists of them."""

from __future__ import annotations

from abc import abstractmethod

from chat_memory.records import Address, Changes, SessionChanges
from chat_memory.storage.contract.part import Part
from chat_memory.storage.listing import Filter
from chat_memory.storage.syncing import Held, Listed


class ChangeStore(Part):
    """What became of what a reader holds; a read, which remembers nothing of the reader."""

    attribute = "changes"
    lack = "cannot tell what changed"

    @abstractmethod
    def messages(self, at: Address, held: Held | None, *, size: int, most: int | None = None) -> Changes:
        """What a reader of a conversation has to be told: with it, its copy is what a read gives.

        Args:
            at: the conversation.
            held: what the reader holds; None: nothing.
            size: how many messages at most, and how many changed ones.
            most: how many bytes of messages at most, but at least one message.
        """

    @abstractmethod
    def sessions(
        self, workspace: str, wanted: Filter, listed: Listed | None, *, size: int, most: int | None = None
    ) -> SessionChanges:
        """What a reader of the conversations of a workspace has to be told.

        Args:
            workspace: the slug; an unknown workspace has no conversations.
            wanted: the user whose conversations the reader holds; the ids of what is gone are those of all users.
            listed: what the reader holds; None: nothing.
            size: how many conversations and ids at most.
            most: how many bytes of conversations at most, but at least one conversation.
        """
