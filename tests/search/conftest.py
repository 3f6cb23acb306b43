"""What the tests of full text share: after each of them the index agrees with the messages, and has none of others."""

from collections.abc import Iterator

import pytest

from chat_memory.maintenance.integrity import check


@pytest.fixture(autouse=True)
def _index_agrees(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each message has its entry, and each entry its message, after every test that has a database."""
    yield
    if request.node.get_closest_marker("django_db") is None:
        return
    faults = [fault for fault in check().faults if fault.what == "search"]
    assert faults == []
