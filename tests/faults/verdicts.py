"""What a run under faults must be like to count, and to be right."""

from collections.abc import Iterator

from tests.faults.site import MAX_AGE, Outcome

ROUNDING = 0.002
"""Seconds. An age is from the acknowledgement of the newer state, which is after its commit and so after the lease, to
the begin of the read, which is before Redis looked: it can only be too small. What is left is that Redis rounds both
the lease's begin and the moment of expiry to milliseconds."""
LEAST_HITS = 0.1
LEAST_READS = 200
HAPPENED = ("died", "rolled back", "replica behind", "delete")
SUFFERED = ("stop", "restart", "older dump", "flush", "evict", "delayed")


def wrongs(outcome: Outcome, mode: str) -> list[str]:
    """What is wrong with a run; nothing, if all is well."""
    return list(_wrongs(outcome, mode))


def _wrongs(outcome: Outcome, mode: str) -> Iterator[str]:
    verdict, counts = outcome.verdict, outcome.counts
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
    if verdict.reads < LEAST_READS or outcome.hit_share < LEAST_HITS:
        yield f"{counts['hits']} hits in {verdict.reads} reads prove nothing"
    yield from (f"no {what}" for what in HAPPENED if not counts[what])
    yield from (f"no {what}" for what in SUFFERED if not outcome.faults[what])
