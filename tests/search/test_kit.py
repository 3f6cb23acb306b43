"""The adapter passes the kit with the sub-app too: what is written beside messages changes nothing of them."""

import pytest

from tests.contracts import test_adapters


@pytest.mark.django_db(transaction=True)
class TestDjangoAdapterWithSearch(test_adapters.TestDjangoAdapter):
    """On the database of the run; after each clause the index agrees with the messages."""
