"""The list of broken guards keeps up with the cache: `python -m tests.faults.mutants` breaks them one by one."""

import pytest
from redis import Redis

from tests.faults.mutant import Mutant
from tests.faults.mutants import MUTANTS

pytestmark = pytest.mark.once


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_guard_is_where_the_mutant_breaks_it(mutant: Mutant) -> None:
    assert mutant.is_fit, (
        f"{mutant.guard!r} is not in {mutant.file}, or not once: let the mutant name what is there now"
    )


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_what_is_broken_still_runs(mutant: Mutant, redis_client: Redis) -> None:
    """Else any test would see it."""
    broken = mutant.breaks(mutant.text)
    assert broken != mutant.text
    if mutant.file.endswith(".py"):
        compile(broken, mutant.file, "exec")
    else:
        redis_client.script_load(broken)
