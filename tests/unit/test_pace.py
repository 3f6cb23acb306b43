"""The pace of flushes: whatever a model sends and whenever, never more than eight a second, and none too late."""

from hypothesis import given, strategies as st

from chat_memory.rules.drafts import LEAST_GAP, Pace

ARRIVALS = st.lists(st.tuples(st.floats(0, 3), st.integers(0, 6_000)), max_size=80)
BOUNDS = st.tuples(st.floats(LEAST_GAP, 2), st.integers(1, 5_000))


def flushes(
    arrivals: list[tuple[float, int]], seconds: float, size: int
) -> tuple[list[float], list[tuple[float, int]]]:
    """The moments of flushes, and at each arrival without one how long and how much is left waiting."""
    now = 0.0
    pace = Pace(seconds, size, lambda: now)
    moments, left, last, waiting = [], [], 0.0, 0
    for pause, length in arrivals:
        now += pause
        waiting += length
        if pace.add(length):
            moments.append(now)
            pace.flushed()
            last, waiting = now, 0
        else:
            left.append((now - last, waiting))
    return moments, left


@given(ARRIVALS, BOUNDS)
def test_flushes_are_bounded_in_time_and_bytes(arrivals: list[tuple[float, int]], bounds: tuple[float, int]) -> None:
    seconds, size = bounds
    moments, left = flushes(arrivals, seconds, size)
    gaps = [later - earlier for earlier, later in zip([0.0, *moments], moments, strict=False)]
    assert all(gap >= LEAST_GAP for gap in gaps)
    for moment in moments:
        assert sum(moment <= each < moment + 0.999 for each in moments) <= 8
    for gap, waiting in left:
        assert waiting == 0 or gap < seconds
        assert waiting < size or gap < LEAST_GAP


def test_a_thousand_chunks_in_a_second_are_eight_flushes() -> None:
    moments, _left = flushes([(0.001, 40)] * 1_000, LEAST_GAP, 1)
    assert len(moments) <= 8


def test_nothing_that_waits_is_no_flush() -> None:
    assert flushes([(5.0, 0)] * 10, 0.5, 1) == ([], [(5.0 * number, 0) for number in range(1, 11)])
