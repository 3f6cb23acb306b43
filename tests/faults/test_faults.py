"""Processes, threads and dying children on a frail Redis and a lagging replica: no read may be wrong."""

from collections.abc import Iterator

import pytest

from tests.faults.site import Databases, databases, run
from tests.faults.verdicts import wrongs

pytestmark = pytest.mark.once

SECONDS = 10.0


@pytest.fixture(scope="module")
def site() -> Iterator[Databases]:
    """A primary and a replica for all runs."""
    with databases() as both:
        yield both


@pytest.mark.parametrize("mode", ["strict", "bounded"])
def test_no_fault_makes_a_read_wrong(site: Databases, mode: str) -> None:
    """FEATURES N02-N09, N14-N16, R14: nothing corrupt; strict: nothing stale; bounded: nothing beyond CACHE_MAX_AGE."""
    outcome = run(site, mode, SECONDS, seed=1)
    assert wrongs(outcome, mode) == [], outcome.summary()
