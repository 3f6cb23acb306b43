"""Owns the contract's part for attachments: bytes that messages refer to, stored once in a workspace."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection
from typing import BinaryIO, NamedTuple

from chat_memory.records import Address, Attachment
from chat_memory.storage.contract.part import Part

HELD_SECONDS = 24 * 3600
"""How long bytes that were added to a conversation are kept while no message refers to them."""


class Upload(NamedTuple):
    """Bytes to store.

    Attributes:
        sha256: their SHA-256 in hexadecimal.
        size: how many there are.
        media_type: what they are.
        file: gives them, from its present position on.
    """

    sha256: str
    size: int
    media_type: str
    file: BinaryIO


class AttachmentStore(Part):
    """Bytes that messages refer to by their hash.

    A workspace stores the same bytes once, and no two workspaces share a file. A conversation
    reaches what was added to it and what its messages refer to, and a message may be stored only where its conversation
    reaches what it refers to: bytes that another one has are added once more. A restore alone keeps any reference. The
    bytes go after the commit that takes the last reference: with the last message that refers to them, former contents
    of edited messages included.
    """

    attribute = "attachments"
    lack = "keeps no attachments"

    @abstractmethod
    def add(self, at: Address, upload: Upload) -> Attachment:
        """Store bytes for a conversation, whose messages may refer to them from now on.

        Until a message does, they are kept for HELD_SECONDS.

        Raises:
            SessionNotFound: there is no such session.
            TransactionOpen: the caller holds a transaction open, whose end would not take the file along.
        """

    @abstractmethod
    def find(self, at: Address, hashes: Collection[str] | None = None) -> list[Attachment]:
        """What a conversation reaches, by the hashes; None: all of it. The oldest comes first, equal ones by hash."""

    @abstractmethod
    def open(self, at: Address, sha256: str) -> BinaryIO:
        """The bytes of an attachment that the conversation reaches; the caller closes it.

        Raises:
            AttachmentNotFound: the conversation reaches no such attachment, or its file is gone.
        """
