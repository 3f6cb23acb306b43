"""Owns the adapter: the parts of a back end, and the properties they share."""

from __future__ import annotations

from abc import ABC
from typing import TypeVar

from chat_memory.exceptions import NotSupported
from chat_memory.storage.contract.archive import ArchiveStore
from chat_memory.storage.contract.attachments import AttachmentStore
from chat_memory.storage.contract.branches import BranchStore
from chat_memory.storage.contract.changes import ChangeStore
from chat_memory.storage.contract.cuts import CutStore
from chat_memory.storage.contract.drafts import DraftStore
from chat_memory.storage.contract.edits import EditStore
from chat_memory.storage.contract.feedback import FeedbackStore
from chat_memory.storage.contract.messages import MessageStore
from chat_memory.storage.contract.part import Part
from chat_memory.storage.contract.search import SearchStore
from chat_memory.storage.contract.sessions import SessionStore
from chat_memory.storage.contract.summaries import SummaryStore
from chat_memory.storage.contract.turns import TurnStore
from chat_memory.storage.contract.undropped import UndroppedStore
from chat_memory.storage.contract.vectors import VectorStore

Wanted = TypeVar("Wanted", bound=Part)


class Adapter(ABC):
    """A back end: the parts ``messages`` and ``sessions``, and further parts that may be missing.

    A missing part is None. Code that needs a part gets it from ``part``, which raises where it is missing.
    """

    messages: MessageStore
    sessions: SessionStore
    branches: BranchStore | None = None
    changes: ChangeStore | None = None
    cuts: CutStore | None = None
    edits: EditStore | None = None
    summaries: SummaryStore | None = None
    archive: ArchiveStore | None = None
    feedback: FeedbackStore | None = None
    attachments: AttachmentStore | None = None
    drafts: DraftStore | None = None
    turns: TurnStore | None = None
    undropped: UndroppedStore | None = None
    search: SearchStore | None = None
    vectors: VectorStore | None = None

    @property
    def name(self) -> str:
        """The back end's name in error messages."""
        return type(self).__name__

    def part(self, kind: type[Wanted]) -> Wanted:
        """The part of a kind, such as ``adapter.part(BranchStore)``.

        Raises:
            NotSupported: this back end lacks the part; the error names both.
        """
        part: Wanted | None = getattr(self, kind.attribute)
        if part is None:
            raise NotSupported(self.name, kind.attribute, kind.lack)
        return part

    @property
    def source(self) -> object:
        """The sender of this store's change events (``storage.changed``); all adapters of a store share it."""
        return self

    @property
    def identity(self) -> str:
        """How this process connects to the store; equal identities mean the same store."""
        return f"{type(self).__name__}:{id(self)}"

    @property
    def unique_name(self) -> str:
        """The globally unique name of the tables that calls use now, whichever way a process connects to them.

        Raises:
            DatabaseError: the database has to be asked, and does not answer or is not migrated.
        """
        return self.identity

    @property
    def alias(self) -> str | None:
        """The alias of the database; None where the back end has no database."""
        return None

    def in_transaction(self) -> bool:
        """Whether a transaction is open, so that rows read now may still be rolled back."""
        return False
