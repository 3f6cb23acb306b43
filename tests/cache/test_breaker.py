"""The breaker alone, on a clock of the test's own."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from chat_memory.cache.breaker import FAILURES, LONGEST, PROBE, SHORTEST, Breaker

pytestmark = pytest.mark.once


class Clock:
    """Seconds that pass when told to."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def opened(clock: Clock) -> Breaker:
    breaker = Breaker(clock)
    assert [breaker.failed() for _ in range(FAILURES)] == [False] * (FAILURES - 1) + [True]
    return breaker


def pause(breaker: Breaker, clock: Clock) -> float:
    """Seconds until a call is allowed again, to a hundredth; that call is the probe."""
    start = clock.now
    while not breaker.allows():
        clock.now += 0.01
        assert clock.now - start <= LONGEST + PROBE
    return clock.now - start


def test_opens_after_consecutive_failures_alone(clock: Clock) -> None:
    breaker = Breaker(clock)
    for _ in range(FAILURES * 2):
        breaker.failed()
        breaker.succeeded()
    assert breaker.allows()
    for _ in range(FAILURES):
        assert breaker.allows()
        breaker.failed()
    assert not breaker.allows()
    assert breaker.openings == 1


def test_stays_open_longer_each_time_but_never_over_five_seconds(clock: Clock) -> None:
    breaker = opened(clock)
    pauses = []
    for _ in range(10):
        pauses.append(pause(breaker, clock))
        assert not breaker.failed()
    assert pauses[0] <= SHORTEST + 0.01
    assert pauses[-1] >= LONGEST / 2
    assert max(pauses) <= LONGEST + 0.01
    assert LONGEST == 5


def test_pauses_differ_so_that_a_fleet_does_not_come_back_as_one(clock: Clock) -> None:
    assert len({pause(opened(clock), clock) for _ in range(20)}) > 1


def test_a_success_closes_it_and_forgets_the_pauses(clock: Clock) -> None:
    breaker = opened(clock)
    for _ in range(5):
        pause(breaker, clock)
        breaker.failed()
    pause(breaker, clock)
    breaker.succeeded()
    assert (breaker.is_open, breaker.allows()) == (False, True)
    for _ in range(FAILURES):
        breaker.failed()
    assert pause(breaker, clock) <= SHORTEST + 0.01


def test_one_probe_at_a_time(clock: Clock) -> None:
    """Twenty threads ask at the moment it may be tried again."""
    breaker = opened(clock)
    clock.now += LONGEST
    gate = threading.Barrier(20)

    def ask() -> bool:
        gate.wait()
        return breaker.allows()

    with ThreadPoolExecutor(20) as threads:
        answers = [answer.result() for answer in [threads.submit(ask) for _ in range(20)]]
    assert answers.count(True) == 1


def test_probe_that_never_told_is_given_up(clock: Clock) -> None:
    """Its thread died, or the process forked while it was under way."""
    breaker = opened(clock)
    clock.now += LONGEST
    assert breaker.allows()
    assert not breaker.allows()
    clock.now += PROBE
    assert breaker.allows()


def test_calls_that_were_under_way_do_not_lengthen_the_pause(clock: Clock) -> None:
    breaker = opened(clock)
    for _ in range(50):
        assert not breaker.failed()
    assert pause(breaker, clock) <= SHORTEST + 0.01
    assert breaker.openings == 1
