"""Owns the kit that any storage adapter runs, plain pytest: every clause of ``chat_memory.storage.base``.

A test module needs three lines, and the mark ``django_db(transaction=True)`` where it stores in Django's database::

    class TestMyAdapter(AdapterConformance):
        def make_adapter(self) -> Adapter:
            return MyAdapter()

An adapter that keeps summaries adds ``let_claims_lapse``.
"""

from chat_memory.testing.conformance.appending import AppendClauses
from chat_memory.testing.conformance.batches import BatchClauses
from chat_memory.testing.conformance.belonging import BelongingClauses
from chat_memory.testing.conformance.branch_writers import BranchWriterClauses
from chat_memory.testing.conformance.branches import BranchClauses
from chat_memory.testing.conformance.edits import EditClauses
from chat_memory.testing.conformance.kit import Kit
from chat_memory.testing.conformance.listing import ListingClauses
from chat_memory.testing.conformance.reading import ReadClauses
from chat_memory.testing.conformance.sessions import SessionClauses
from chat_memory.testing.conformance.speaking import SpeakingClauses
from chat_memory.testing.conformance.summaries import SummaryClauses
from chat_memory.testing.conformance.windows import WindowClauses
from chat_memory.testing.conformance.writers import WriterClauses

__all__ = ["AdapterConformance", "Kit"]


class AdapterConformance(
    AppendClauses,
    BatchClauses,
    BelongingClauses,
    BranchClauses,
    BranchWriterClauses,
    EditClauses,
    ListingClauses,
    ReadClauses,
    SessionClauses,
    SpeakingClauses,
    SummaryClauses,
    WindowClauses,
    WriterClauses,
):
    """Every clause, each a test method.

    Where a capability flag is False its clauses are skipped, and one tests that the flag tells the truth.
    """
