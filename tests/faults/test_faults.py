"""Processes, threads and dying children on a frail Redis and a lagging replica: no read may be wrong."""

from collections.abc import Iterator

import pytest

from tests.faults.fault_run import Databases, databases, run_with_faults
from tests.faults.run_conditions import wrongs

pytestmark = pytest.mark.once

SECONDS = 10.0
"""At least: a run goes on until every fault has occurred and enough was read."""


@pytest.fixture(scope="module")
def both_databases() -> Iterator[Databases]:
    """A primary and a replica for all runs."""
    with databases() as both:
        yield both


@pytest.mark.parametrize("mode", ["strict", "bounded"])
def test_no_fault_makes_a_read_wrong(both_databases: Databases, mode: str) -> None:
    """FEATURES N02-N09, N14-N16, R14: nothing corrupt; strict: nothing stale; bounded: nothing beyond CACHE_MAX_AGE."""
    outcome = run_with_faults(both_databases, mode, SECONDS, seed=1)
    assert wrongs(outcome, mode) == [], outcome.summary()
