"""Owns the contract's part for restoring whole conversations from an export."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import msgspec

from chat_memory.exceptions import ChatMemoryError
from chat_memory.records import Address, Transcript
from chat_memory.storage.contract.part import Part


class Restored(msgspec.Struct, frozen=True):
    """The result of restoring one conversation.

    Attributes:
        made: whether the session was created.
        messages: the number of new messages.
        replayed: the number of messages that were already stored.
        error: why nothing of the conversation was written; None where it was written.
    """

    made: bool = False
    messages: int = 0
    replayed: int = 0
    error: ChatMemoryError | None = None


class ArchiveStore(Part):
    """Whole conversations, with their branches and summaries."""

    attribute = "archive"
    lack = "cannot restore conversations"

    @abstractmethod
    def restore(self, batch: Sequence[tuple[Address, Transcript]]) -> list[Restored]:
        """Restore conversations in one transaction, each completely or not at all; results are in the order given.

        An existing session keeps its fields and gets only the messages whose ids are not stored yet. A conversation
        that cannot be restored does not affect the others. The messages are validated, and have an id, a time and a
        token count.

        Raises:
            WorkspaceNotFound: the workspace is unknown and may not be created; nothing was written.
        """
