"""Owns the contract's part for attachments: bytes that messages refer to, stored once in a workspace."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection
from typing import BinaryIO, NamedTuple

from chat_memory.records import Address, Attachment
from chat_memory.storage.contract.part import Part

HELD_SECONDS = 24 * 3600
"""Seconds for which bytes that were added to a conversation are kept while no message refers to them."""


class Upload(NamedTuple):
    """Bytes to store.

    Attributes:
        sha256: their SHA-256 in hexadecimal.
        size: the number of bytes.
        media_type: their media type.
        file: the file to read them from, starting at its current position.
    """

    sha256: str
    size: int
    media_type: str
    file: BinaryIO


class AttachmentStore(Part):
    """Bytes that messages refer to by their hash.

    A workspace stores the same bytes once, and no two workspaces share a file. A conversation reaches the attachments
    that were added to it and those that its messages refer to. A message may be stored only if its conversation reaches
    all attachments that the message refers to; bytes that only another conversation reaches must be added again. Only a
    restore stores references without this check. The file is deleted after the commit that removes the last reference
    to it; the former contents of edited messages keep their references.
    """

    attribute = "attachments"
    lack = "keeps no attachments"

    @abstractmethod
    def add(self, at: Address, upload: Upload) -> Attachment:
        """Store bytes for a conversation; its messages may refer to them from now on.

        While no message refers to them, they are kept for HELD_SECONDS only.

        Raises:
            SessionNotFound: there is no such session.
            TransactionOpen: the caller holds a transaction open; its rollback could not remove the file.
        """

    @abstractmethod
    def find(self, at: Address, hashes: Collection[str] | None = None) -> list[Attachment]:
        """The attachments that a conversation reaches, oldest first; ``hashes``: only these; None: all."""

    @abstractmethod
    def open(self, at: Address, sha256: str) -> BinaryIO:
        """The bytes of an attachment that the conversation reaches; the caller closes it.

        Raises:
            AttachmentNotFound: the conversation reaches no such attachment, or its file is gone.
        """
