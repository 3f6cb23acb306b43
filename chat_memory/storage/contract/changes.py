"""Owns the contract's part for syncing readers that keep copies of conversations, or of lists of conversations."""

from __future__ import annotations

from abc import abstractmethod

from chat_memory.records import Address, Changes, SessionChanges
from chat_memory.storage.contract.part import Part
from chat_memory.storage.listing import Filter
from chat_memory.storage.syncing import Held, Listed


class ChangeStore(Part):
    """What changed since a reader's cursor; both methods only read, and nothing is stored about readers."""

    attribute = "changes"
    lack = "cannot tell what changed"

    @abstractmethod
    def messages(self, at: Address, held: Held | None, *, size: int, most: int | None = None) -> Changes:
        """The changes that make a reader's copy of a conversation equal to what a read returns.

        Args:
            at: the conversation.
            held: the reader's cursor; None: the reader holds nothing.
            size: the maximum number of new messages, and of changed messages.
            most: the maximum number of bytes of messages, but at least one message.
        """

    @abstractmethod
    def sessions(
        self, workspace: str, wanted: Filter, listed: Listed | None, *, size: int, most: int | None = None
    ) -> SessionChanges:
        """The changes that bring a reader's list of the conversations of a workspace up to date.

        Args:
            workspace: the slug; an unknown workspace has no conversations.
            wanted: which conversations the reader lists; the ids of deleted conversations are not filtered by it.
            listed: the reader's cursor; None: the reader holds nothing.
            size: the maximum number of conversations and ids together.
            most: the maximum number of bytes of conversations, but at least one conversation.
        """
