"""Owns the contract's part for deleting the newest messages, for back ends without branches."""

from __future__ import annotations

from abc import abstractmethod

from chat_memory.records import Address
from chat_memory.storage.contract.part import Part


class CutStore(Part):
    """Deletes the newest messages of a conversation; a back end with branches forks instead."""

    attribute = "cuts"
    lack = "cannot cut messages off"

    @abstractmethod
    def cut(self, at: Address, message_id: str, *, keep: bool) -> int | None:
        """Delete the message with an id and all later ones, in one step; their positions and ids can be used again.

        Args:
            at: the conversation.
            message_id: the id of a visible message.
            keep: whether the message itself stays.

        Returns:
            The number of deleted messages; None if no visible message has the id.
        """
