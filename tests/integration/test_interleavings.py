"""Whatever tabs, phones and workers do at once: prompts fit, answers stand with their questions, copies are true."""

from collections import Counter
from typing import Any

import pytest
from django.test import override_settings
from hypothesis import HealthCheck, settings as hypothesis_settings
from hypothesis.stateful import run_state_machine_as_test

from tests.faults.one_key import PATIENT
from tests.integration.interleaved import InMemory, Stored
from tests.integration.interleavings import Interleavings

pytestmark = pytest.mark.django_db(transaction=True)
LENGTH = 40
MANY = 50
"""Of so many examples some has a worker that loses its question."""


def interleaved(ground: Any, examples: int) -> None:
    """Random interleavings, in enough of which something happened."""
    done = Counter[str]()
    machine: Any = type("Machine", (Interleavings,), {"ground": ground, "done": done})
    wanted = hypothesis_settings(
        max_examples=examples,
        stateful_step_count=LENGTH,
        suppress_health_check=list(HealthCheck),
        derandomize=examples <= MANY,  # those of the suite are the same each time, and the soak looks for others
        database=None,
    )
    run_state_machine_as_test(machine, settings=wanted)
    assert done["taken"] >= examples, done
    assert done["answered"] * 4 >= examples, done
    assert done["lost"] or examples < MANY, done


@pytest.mark.parametrize("mode", ["strict", "bounded"])
def test_no_interleaving_mixes_turns_up(mode: str) -> None:
    """FEATURES N49, N50: a model is asked once for each question, and told what is of it."""
    with override_settings(CHAT_MEMORY={"CACHE": mode, "REDIS_CLIENT": PATIENT}):
        interleaved(Stored, hypothesis_settings().max_examples // 4)


@pytest.mark.once
def test_no_interleaving_mixes_turns_up_in_memory() -> None:
    """FEATURES N49, N50."""
    interleaved(InMemory, hypothesis_settings().max_examples * 2)
