"""A mode of the cache to run in, and what it counts."""

from collections.abc import Iterator
from typing import Any

import pytest

from chat_memory import metrics
from tests.faults.one_key import PATIENT


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the cache counts, one after the other."""
    names: list[str] = []
    monkeypatch.setattr(metrics, "add", lambda name, by=1: names.append(name))
    return names


@pytest.fixture(autouse=True)
def _no_receiver_fails(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Of what a receiver of the change event raises nobody would hear otherwise."""
    yield
    assert [record.getMessage() for record in caplog.get_records("call") if record.name == "django.dispatch"] == []


@pytest.fixture
def mode(request: pytest.FixtureRequest, settings: Any) -> str:
    """The mode a test is about."""
    chosen: str = request.param
    settings.CHAT_MEMORY = {"CACHE": chosen, "REDIS_CLIENT": PATIENT, "CACHE_MAX_AGE": 60}
    return chosen
