"""What a run under faults must be like to count, and to be right."""

from collections.abc import Iterator

from tests.faults.fault_run import MAX_AGE, Outcome, lacking

ROUNDING = 0.002
"""Seconds. An age is from the acknowledgement of the newer state, which is after its commit and so after the lease, to
the begin of the read, which is before Redis looked: it can only be too small. What is left is that Redis rounds both
the lease's begin and the moment of expiry to milliseconds."""


def wrongs(outcome: Outcome, mode: str) -> list[str]:
    """What is wrong with a run; nothing, if all is well."""
    return list(_wrongs(outcome, mode))


def _wrongs(outcome: Outcome, mode: str) -> Iterator[str]:
    verdict = outcome.verdict
    if outcome.errors:
        yield f"errors: {outcome.errors[:3]}"
    if verdict.corrupt:
        yield f"{verdict.corrupt} reads show what never was"
    if verdict.behind_own_write:
        yield f"{verdict.behind_own_write} reads do not show what their min_version must"
    if mode == "strict" and verdict.stale:
        yield f"{verdict.stale} reads are stale"
    if verdict.oldest > MAX_AGE + ROUNDING:
        yield f"a read is {verdict.oldest:.3f} s old"
    yield from lacking(outcome.counts, outcome.faults)
