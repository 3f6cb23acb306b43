"""Transactions that are rolled back on purpose."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from django.db import transaction


class Undone(Exception):
    """Raised to roll a transaction back."""


@contextmanager
def undone() -> Iterator[None]:
    """A transaction, or a savepoint, that is rolled back at its end."""
    with suppress(Undone), transaction.atomic():
        yield
        raise Undone
