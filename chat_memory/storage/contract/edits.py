"""Owns the contract's part for editing stored messages."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

from chat_memory.records import Address, Commit, Message, Revision
from chat_memory.storage.contract.part import Part

Restate = Callable[[Message], Message]
"""Returns the stored message with new content; an error that it raises aborts the edit and is passed on."""


class EditStore(Part):
    """Edits of stored messages, and their former contents."""

    attribute = "edits"
    lack = "cannot edit messages"

    @abstractmethod
    def edit(self, at: Address, seq: int, restate: Restate) -> Commit:
        """Replace the content and the token count of the message at a position, on every branch that shares it.

        ``restate`` is called once with the stored message, while the session is locked. The former content is stored
        as a revision.

        Raises:
            MessageNotFound: there is no visible message at this position.
        """

    @abstractmethod
    def revisions(self, at: Address, seq: int) -> list[Revision]:
        """The former contents of the visible message at a position, oldest first."""
