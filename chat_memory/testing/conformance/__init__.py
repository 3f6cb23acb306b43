"""Owns the kit that any storage adapter runs, plain pytest: every clause of ``chat_memory.storage.base``.

A test module needs three lines, and the mark ``django_db(transaction=True)`` where it stores in Django's database::

    class TestMyAdapter(AdapterConformance):
        def make_adapter(self) -> Adapter:
            return MyAdapter()
"""

from chat_memory.testing.conformance.appending import AppendClauses
from chat_memory.testing.conformance.batches import BatchClauses
from chat_memory.testing.conformance.kit import Kit
from chat_memory.testing.conformance.reading import ReadClauses
from chat_memory.testing.conformance.sessions import SessionClauses
from chat_memory.testing.conformance.writers import WriterClauses

__all__ = ["AdapterConformance", "Kit"]


class AdapterConformance(AppendClauses, BatchClauses, ReadClauses, SessionClauses, WriterClauses):
    """Every clause, each a test method; a clause behind a capability flag tests that the flag tells the truth."""
