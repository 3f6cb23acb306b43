"""Owns the comparison of embeddings: by pgvector where the database has it, otherwise by numpy."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from chat_memory.exceptions import NotSupported
from chat_memory.storage.contract import Vector
from chat_memory.storage.orm.cursor import fetch
from chat_memory.vectors import statements

AT_ONCE = 2_000_000
"""The approximate number of floats that are in memory at a time."""
DIGITS = 6
"""Decimal places of a score."""
_HEAD = 20
"""Bytes of the header of a binary PostgreSQL array; in it, 4 bytes of length precede each number."""


def by_pgvector(connection: BaseDatabaseWrapper) -> bool:
    """Whether the database compares embeddings itself."""
    if connection.vendor != "postgresql":
        return False
    rows = fetch(connection, statements.KIND, {"table": statements.TABLE}, brief=True)
    return bool(rows and rows[0][0])


def nearest(
    connection: BaseDatabaseWrapper, vector: Vector, size: int, shown: Mapping[str, Any], last: int
) -> dict[int, float]:
    """The scores of the nearest messages by their ids.

    Args:
        connection: the database.
        vector: the vector to compare with.
        size: the maximum number of messages.
        shown: the statement's parameters for the branch, the position after which it begins, and the model.
        last: the last position of the branch.

    Raises:
        NotSupported: neither pgvector nor numpy is available.
    """
    params = {**shown, "dimensions": len(vector)}
    if by_pgvector(connection):
        rows = fetch(connection, statements.nearest(), params | {"vector": list(vector), "size": size})
        scores = dict(rows)
    else:
        scores = _by_numpy(connection, vector, size, params, last)
    return {message: max(-1.0, min(1.0, score)) for message, score in scores.items()}


def has_numpy() -> bool:
    """Whether numpy can be imported."""
    try:
        _numpy()
    except NotSupported:
        return False
    return True


def _by_numpy(
    connection: BaseDatabaseWrapper, vector: Vector, size: int, params: Mapping[str, Any], last: int
) -> dict[int, float]:
    """Read the embeddings a range at a time, and keep only the best scores so far."""
    numpy, many = _numpy(), max(1, AT_ONCE // len(vector))
    wanted = numpy.asarray(vector, dtype=numpy.float32)
    statement = statements.vectors(connection.vendor)
    best: list[tuple[float, int, int]] = []
    for after in range(params["after"], last, many):
        rows = fetch(connection, statement, {**params, "after": after, "until": after + many})
        if rows:
            scores = _matrix(numpy, connection.vendor, [row[2] for row in rows], len(vector)) @ wanted
            found = zip(scores.astype(float).round(DIGITS).tolist(), rows, strict=True)
            best = heapq.nlargest(size, [*best, *((score, row[1], row[0]) for score, row in found)])
    return {message: score for score, _seq, message in best}


def _matrix(numpy: Any, vendor: str, stored: list[bytes], dimensions: int) -> Any:
    """The stored embeddings as a matrix with one row each."""
    joined = b"".join(stored)
    if vendor != "postgresql":
        return numpy.frombuffer(joined, dtype="<f4").reshape(len(stored), dimensions)
    form = numpy.dtype([("head", f"V{_HEAD}"), ("items", [("length", ">i4"), ("number", ">f4")], (dimensions,))])
    return numpy.frombuffer(joined, dtype=form)["items"]["number"].astype(numpy.float32)


def _numpy() -> Any:
    """The library, imported only when needed: the import is slow, and with pgvector it is never needed.

    Raises:
        NotSupported: numpy is not installed.
    """
    try:
        import numpy  # noqa: PLC0415
    except ImportError:
        lack = "has no pgvector to compare embeddings by, and numpy is not installed: install the extra 'vectors'"
        raise NotSupported("the database", "", lack) from None
    return numpy
