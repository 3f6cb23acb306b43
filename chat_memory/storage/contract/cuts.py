"""Owns the contract's part for cutting messages off the end, of a back end that has no branches to leave them on."""

from __future__ import annotations

from abc import abstractmethod

from chat_memory.records import Address
from chat_memory.storage.contract.part import Part


class CutStore(Part):
    """Messages cut off the end of a conversation; a back end with branches forks instead."""

    attribute = "cuts"
    lack = "cannot cut messages off"

    @abstractmethod
    def cut(self, at: Address, message_id: str, *, keep: bool) -> int | None:
        """Delete the message of an id and all behind it, in one step; their positions and ids are free again.

        Args:
            at: the conversation.
            message_id: the id of a visible message.
            keep: whether the message itself stays.

        Returns:
            How many went; None where no visible message has the id.
        """
