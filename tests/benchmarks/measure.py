"""Times two ways of doing one thing by turns, a few calls apart, so that a busy machine slows both alike."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

Call = Callable[[], object]


@dataclass(frozen=True)
class Ratio:
    """Ours over the limit: the median of the rounds' ratios with quartiles, and the median microseconds of both."""

    median: float
    lower: float
    upper: float
    ours: float
    limit: float

    @classmethod
    def of(cls, ours: list[float], limit: list[float]) -> "Ratio":
        ratios = [mine / best for mine, best in zip(ours, limit, strict=True)]
        lower, _, upper = statistics.quantiles(ratios, n=4)
        return cls(
            statistics.median(ratios),
            lower,
            upper,
            statistics.median(ours) * 1e6,
            statistics.median(limit) * 1e6,
        )


def by_turns(ours: Call, limit: Call, *, rounds: int, calls: int) -> Ratio:
    """The median of `calls` calls each per round, the two alternating call by call."""
    for _ in range(5):
        ours()
        limit()
    medians: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        times: tuple[list[float], list[float]] = ([], [])
        for _ in range(calls):
            for call, spent in zip((ours, limit), times, strict=True):
                begin = time.perf_counter()
                call()
                spent.append(time.perf_counter() - begin)
        for kept, spent in zip(medians, times, strict=True):
            kept.append(statistics.median(spent))
    return Ratio.of(*medians)
