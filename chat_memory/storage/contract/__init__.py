"""Owns the storage contract: an adapter consists of parts, one module each; it must not depend on a database.

An adapter trusts its input: messages are validated and have an id and a time. It promises the following, which the
conformance kit (``chat_memory.testing.conformance``) tests:

- Positions have no gaps, and a position is used again only after ``pop`` or ``cut`` freed it; a branch has an id once.
- A call is stored completely or not at all, and its messages are adjacent.
- A read returns one snapshot and never writes.
- Each committed change is emitted once (``storage.changed``).
"""

from chat_memory.storage.contract.adapter import Adapter
from chat_memory.storage.contract.archive import ArchiveStore, Restored
from chat_memory.storage.contract.attachments import HELD_SECONDS, AttachmentStore, Upload
from chat_memory.storage.contract.branches import BranchStore
from chat_memory.storage.contract.changes import ChangeStore
from chat_memory.storage.contract.cuts import CutStore
from chat_memory.storage.contract.drafts import Conclude, DraftStore, Settled
from chat_memory.storage.contract.edits import EditStore
from chat_memory.storage.contract.feedback import FeedbackStore
from chat_memory.storage.contract.messages import ALL_MESSAGES, Batch, MessageStore
from chat_memory.storage.contract.part import Part
from chat_memory.storage.contract.search import Indexed, SearchStore, Within
from chat_memory.storage.contract.sessions import NO_FIELDS, SessionStore
from chat_memory.storage.contract.summaries import CLAIM_LAPSES, SummaryStore
from chat_memory.storage.contract.turns import TurnStore
from chat_memory.storage.contract.undropped import Undropped, UndroppedStore
from chat_memory.storage.contract.vectors import Unembedded, Vector, VectorStore

__all__ = [
    "ALL_MESSAGES",
    "CLAIM_LAPSES",
    "HELD_SECONDS",
    "NO_FIELDS",
    "Adapter",
    "ArchiveStore",
    "AttachmentStore",
    "Batch",
    "BranchStore",
    "ChangeStore",
    "Conclude",
    "CutStore",
    "DraftStore",
    "EditStore",
    "FeedbackStore",
    "Indexed",
    "MessageStore",
    "Part",
    "Restored",
    "SearchStore",
    "SessionStore",
    "Settled",
    "SummaryStore",
    "TurnStore",
    "Undropped",
    "UndroppedStore",
    "Unembedded",
    "Upload",
    "Vector",
    "VectorStore",
    "Within",
]
