"""Owns the conformance kit: pytest tests for the clauses of ``chat_memory.storage.contract``, for any adapter.

A test module needs three lines; an adapter that uses Django's database also needs the mark
``django_db(transaction=True)``::

    class TestMyAdapter(AdapterConformance):
        def make_adapter(self) -> Adapter:
            return MyAdapter()

For an adapter that stores summaries, also implement ``let_claims_lapse``; for one that keeps drafts,
``let_drafts_lapse``. For one that does not support ``append_many``, set ``changes_several = False``; for one that does
not store which keys clients chose, set ``yields_keys = False``. Clauses of a part that the adapter lacks are skipped.
"""

from chat_memory.testing.conformance.activity import ActivityClauses
from chat_memory.testing.conformance.appending import AppendClauses
from chat_memory.testing.conformance.archive import ArchiveClauses
from chat_memory.testing.conformance.attachments import AttachmentClauses
from chat_memory.testing.conformance.batches import BatchClauses
from chat_memory.testing.conformance.belonging import BelongingClauses
from chat_memory.testing.conformance.branch_events import BranchEventClauses
from chat_memory.testing.conformance.branch_writers import BranchWriterClauses
from chat_memory.testing.conformance.branches import BranchClauses
from chat_memory.testing.conformance.derived import DerivedClauses
from chat_memory.testing.conformance.edits import EditClauses
from chat_memory.testing.conformance.events import EventClauses
from chat_memory.testing.conformance.feedback import FeedbackClauses
from chat_memory.testing.conformance.kit import Kit
from chat_memory.testing.conformance.listing import ListingClauses
from chat_memory.testing.conformance.owners import YieldingClauses
from chat_memory.testing.conformance.parts import PartClauses
from chat_memory.testing.conformance.popping import PopClauses
from chat_memory.testing.conformance.reading import ReadClauses
from chat_memory.testing.conformance.redactions import RedactionClauses
from chat_memory.testing.conformance.sessions import SessionClauses
from chat_memory.testing.conformance.summaries import SummaryClauses
from chat_memory.testing.conformance.switching import SwitchClauses
from chat_memory.testing.conformance.syncing import SyncClauses
from chat_memory.testing.conformance.titles import TitleClauses
from chat_memory.testing.conformance.turn_drafts import TurnDraftClauses
from chat_memory.testing.conformance.windows import WindowClauses
from chat_memory.testing.conformance.writers import WriterClauses

__all__ = ["AdapterConformance", "Kit"]


class AdapterConformance(
    ActivityClauses,
    AppendClauses,
    ArchiveClauses,
    AttachmentClauses,
    BatchClauses,
    BelongingClauses,
    BranchClauses,
    BranchEventClauses,
    BranchWriterClauses,
    DerivedClauses,
    EditClauses,
    EventClauses,
    FeedbackClauses,
    ListingClauses,
    PartClauses,
    PopClauses,
    ReadClauses,
    RedactionClauses,
    SessionClauses,
    SummaryClauses,
    SwitchClauses,
    SyncClauses,
    TitleClauses,
    TurnDraftClauses,
    WindowClauses,
    WriterClauses,
    YieldingClauses,
):
    """All clauses of the contract; each is a test method."""
