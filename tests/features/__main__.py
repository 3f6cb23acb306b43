"""Prints where each feature of the documents is proved; the exit status is 1 where one is nowhere.

``python -m tests.features`` prints all rows, ``python -m tests.features missing`` those of a status.
"""

import sys
from collections import Counter

from tests.features.table import PAGE, Judged, features, named_by_tests, table


def main() -> int:
    """Entry of ``python -m tests.features``."""
    rows = table(features(), named_by_tests(), PAGE.read_text())
    wanted = set(sys.argv[1:])
    for row in rows:
        if not wanted or row.status in wanted:
            sys.stdout.write(f"{line_of(row)}\n")
    counts = Counter(row.status for row in rows)
    sys.stdout.write(", ".join(f"{number} {status}" for status, number in counts.most_common()) + "\n")
    return 1 if counts["missing"] else 0


def line_of(row: Judged) -> str:
    """A line of the table."""
    return f"{row.feature.id:<6} {row.status:<8} {row.feature.title:<60} {row.where}".rstrip()


if __name__ == "__main__":
    sys.exit(main())
