"""Owns the contract's part for embeddings: keeping one of each message and model, and finding the messages nearest."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

import msgspec

from chat_memory.records import Address, Relevant
from chat_memory.storage.contract.part import Part

Vector = Sequence[float]
"""The numbers of an embedding, of length 1 or all 0, so that the product of two says how alike their texts are."""


class Unembedded(msgspec.Struct, frozen=True):
    """A message without an embedding, and its text.

    Attributes:
        message: the number by which the store knows the message.
        session_id: the session row that has it.
        seq: its position.
        conversation: the workspace and the key of its conversation, as the store names them.
        text: what of it is embedded; "": it has no words, and an empty embedding says so.
    """

    message: int
    session_id: UUID
    seq: int
    conversation: tuple[int, str]
    text: str

    @property
    def place(self) -> tuple[UUID, int]:
        """Where it is."""
        return self.session_id, self.seq


class VectorStore(Part):
    """Embeddings of messages, one of each message and model; what changes or removes a message removes them with it."""

    attribute = "vectors"
    lack = "has no embeddings (for Django's models add 'chat_memory.vectors' to INSTALLED_APPS, and migrate)"

    @abstractmethod
    def unembedded(
        self, at: Address, model: str, dimensions: int, *, after: int = 0, size: int = 100
    ) -> list[Unembedded]:
        """Of the messages that a branch shows after a position, the first that have no embedding, oldest first.

        Redacted messages, and those without any content, never need one.

        Args:
            at: the branch.
            model: the name of the model.
            dimensions: how many numbers an embedding has; one that has another number of them is none.
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
        """The same of all conversations, along the places of messages.

        Args:
            model: the name of the model.
            workspace: of this one only.
            after: behind this place.
            until: none that was stored after the message of this number.
            size: the maximum number of messages.
        """

    @abstractmethod
    def newest(self) -> int:
        """The number of the message that was stored last; 0 where there is none."""

    @abstractmethod
    def missing(self, model: str, workspace: str | None = None) -> int:
        """How many messages need an embedding that they do not have; None: of all workspaces."""

    @abstractmethod
    def keep(self, model: str, embeddings: Sequence[tuple[Unembedded, Vector]], *, wait: bool = True) -> int:
        """Keep embeddings in one transaction, each only where its message still has the text, in place of an older one.

        Args:
            model: the name of the model.
            embeddings: the messages, each with its embedding; one without numbers: there is nothing to embed.
            wait: whether to wait for conversations that others hold; otherwise their messages are left.

        Returns:
            How many of the messages were left, since others were writing to their conversations.

        Raises:
            Busy: somebody else held a conversation for too long.
        """

    @abstractmethod
    def nearest(self, at: Address, model: str, vector: Vector, *, size: int) -> list[Relevant]:
        """The messages that a branch shows whose embeddings are nearest to a vector, in the order of the branch.

        Of several that are as near the newer ones come first.

        Raises:
            NotOwner: the conversation belongs to somebody else than the address' user.
            NotSupported: nothing that compares embeddings is installed.
        """

    @abstractmethod
    def faults(self, rows: Collection[UUID], *, repair: bool = False) -> Mapping[UUID, str]:
        """What is wrong with the embeddings of the messages of some session rows, in words; with ``repair`` it was.

        A repair removes what is of no message. A message without an embedding is no fault.
        """

    @abstractmethod
    def strays(self, workspace: str | None = None, *, repair: bool = False) -> int:
        """How many embeddings there are of sessions that do not exist; with ``repair`` there were."""
