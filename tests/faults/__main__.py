"""The long run under faults: both modes, several seeds, one line of numbers each.

`python -m tests.faults [--seconds S] [--seeds 1 2 3]` ends with 1 if a read was wrong or a run proves nothing.
"""

import argparse
import json
import random
import sys

from tests.faults.fault_run import databases, run_with_faults
from tests.faults.run_conditions import wrongs

MODES = ("strict", "bounded")


def main(arguments: list[str]) -> int:
    """Run, print, judge."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("--seconds", type=float, default=40.0, help="of each run, at least")
    parser.add_argument("--seeds", type=int, nargs="+", help="one run of each mode for each; two are drawn by default")
    chosen = parser.parse_args(arguments)
    found = 0
    with databases() as addresses:
        for seed in chosen.seeds or random.sample(range(10**6), 2):
            for mode in MODES:
                outcome = run_with_faults(addresses, mode, chosen.seconds, seed)
                wrong = wrongs(outcome, mode)
                found += len(wrong)
                sys.stdout.write(f"{mode} seed {seed}: {json.dumps(outcome.summary())} {wrong or 'all is well'}\n")
                sys.stdout.flush()
    return min(1, found)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
