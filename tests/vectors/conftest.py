"""What the tests of relevance share: after each of them no embedding is of nothing; and the table without pgvector."""

from collections.abc import Iterator

import pytest
from django.db import connection

from chat_memory.maintenance.integrity import check

TABLE = "chat_memory_vectors_embedding"


@pytest.fixture(autouse=True)
def _no_embedding_is_of_nothing(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if request.node.get_closest_marker("django_db") is None:
        return
    assert [fault for fault in check().faults if fault.what == "vectors"] == []


@pytest.fixture
def without_pgvector(request: pytest.FixtureRequest) -> Iterator[None]:
    """The table as a PostgreSQL without the extension has it; on such a one, and on SQLite, as it is."""
    kind = column_type()
    if kind == "vector":
        alter("real[]")
    yield
    if kind == "vector":
        alter("vector")


def column_type() -> str:
    """The type of the column of vectors."""
    with connection.cursor() as cursor:
        if connection.vendor != "postgresql":
            return "blob"
        cursor.execute(
            "SELECT format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = %s::regclass AND attname = 'vector'",
            [TABLE],
        )
        (kind,) = cursor.fetchone()
        return str(kind)


def alter(kind: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {TABLE} ALTER COLUMN vector TYPE {kind} USING vector::{kind}")
