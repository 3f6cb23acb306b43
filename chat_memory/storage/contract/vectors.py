"""Owns the contract's part for embeddings: storing one per message and model, and finding the nearest messages."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

import msgspec

from chat_memory.records import Address, Relevant
from chat_memory.storage.contract.part import Part

Vector = Sequence[float]
"""An embedding, normalised to length 1 or all 0: the dot product of two says how similar their texts are."""


class Unembedded(msgspec.Struct, frozen=True):
    """A message without an embedding, and its text.

    Attributes:
        message: the store's number of the message.
        session_id: the id of the session row that has it.
        seq: its position.
        conversation: the id of the workspace and the key of the conversation.
        text: the text to embed; "": the message has no words, so an empty embedding is stored for it.
    """

    message: int
    session_id: UUID
    seq: int
    conversation: tuple[int, str]
    text: str

    @property
    def place(self) -> tuple[UUID, int]:
        """The session row and the position of the message."""
        return self.session_id, self.seq


class VectorStore(Part):
    """Embeddings, one per message and model; a change or the removal of a message deletes its embeddings."""

    attribute = "vectors"
    lack = "has no embeddings (for Django's models add 'chat_memory.vectors' to INSTALLED_APPS, and migrate)"

    @abstractmethod
    def unembedded(
        self, at: Address, model: str, dimensions: int, *, after: int = 0, size: int = 100
    ) -> list[Unembedded]:
        """The first messages after a position that a branch shows and that have no embedding, oldest first.

        Redacted messages, and those without any content, never need one.

        Args:
            at: the branch.
            model: the name of the model.
            dimensions: the length of an embedding; a stored embedding of another length does not count.
            after: the position.
            size: the maximum number of messages.

        Raises:
            NotOwner: the conversation belongs to somebody else than the address' user.
        """

    @abstractmethod
    def unembedded_anywhere(
        self,
        model: str,
        workspace: str | None = None,
        *,
        after: tuple[UUID, int] | None = None,
        until: int | None = None,
        size: int = 100,
    ) -> list[Unembedded]:
        """The messages without an embedding in all conversations, ordered by session row and position.

        Args:
            model: the name of the model.
            workspace: only messages of this workspace; None: of all.
            after: only messages after this place.
            until: only messages that were not stored after the message with this number.
            size: the maximum number of messages.
        """

    @abstractmethod
    def newest(self) -> int:
        """The number of the message that was stored last; 0 if there is none."""

    @abstractmethod
    def missing(self, model: str, workspace: str | None = None) -> int:
        """How many messages need an embedding and have none; None: in all workspaces."""

    @abstractmethod
    def keep(self, model: str, embeddings: Sequence[tuple[Unembedded, Vector]], *, wait: bool = True) -> int:
        """Store embeddings in one transaction, replacing older ones; skip messages whose texts have changed.

        Args:
            model: the name of the model.
            embeddings: the messages, each with its embedding; an empty one: there is nothing to embed.
            wait: whether to wait for locked conversations; otherwise their messages are skipped.

        Returns:
            How many messages were skipped because another transaction had locked their conversations.

        Raises:
            Busy: another transaction kept a conversation locked for too long.
        """

    @abstractmethod
    def nearest(self, at: Address, model: str, vector: Vector, *, size: int) -> list[Relevant]:
        """The messages of a branch whose embeddings are nearest to a vector, in the order of the branch.

        Of messages that are equally near, the newer ones are preferred.

        Raises:
            NotOwner: the conversation belongs to somebody else than the address' user.
            NotSupported: nothing that compares embeddings is installed.
        """

    @abstractmethod
    def faults(self, rows: Collection[UUID], *, repair: bool = False) -> Mapping[UUID, str]:
        """Describe what is wrong with the embeddings of some session rows, by row; ``repair`` also repairs it.

        A repair removes embeddings that belong to no message. A message without an embedding is no fault.
        """

    @abstractmethod
    def strays(self, workspace: str | None = None, *, repair: bool = False) -> int:
        """How many embeddings belong to sessions that do not exist; ``repair`` also deletes them."""
