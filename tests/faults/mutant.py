"""A guard that is broken in a copy of the checkout, and the tests that must see it."""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = Path("chat_memory")
TESTS = (
    ("tests/faults/test_threats.py", "tests/faults/test_rules.py"),
    ("tests/faults/test_branch_rules.py", "tests/faults/test_owner_rules.py"),
    ("tests/faults/test_listening.py", "tests/cache/test_foreign_values.py", "tests/cache/test_whose_entries.py"),
    ("tests/faults/test_histories.py",),
)
"""Each part only where those before it see nothing: most mutants are seen by the first within seconds."""
TURNS = (
    (
        "tests/integration/test_crossed_turns.py",
        "tests/integration/test_turn_streams.py",
        "tests/integration/test_resumed_streams.py",
        "tests/integration/test_attacked_turns.py",
    ),
    ("tests/integration/test_interleavings.py",),
)
"""The same for the guards of turns."""


class Mutant(NamedTuple):
    """A guard, where it is, its text, what is there instead, and the tests that must see it."""

    name: str
    file: str
    guard: str
    broken: str
    tests: tuple[tuple[str, ...], ...] = TESTS

    @property
    def is_fit(self) -> bool:
        """Whether its guard is in the checkout, and once."""
        return len(self._places(self.text)) == 1

    @property
    def text(self) -> str:
        """Its file as it is in the checkout."""
        return (ROOT / PACKAGE / self.file).read_text()

    def breaks(self, text: str) -> str:
        """The text of its file with the guard broken."""
        (place,) = self._places(text)
        return text[: place.start()] + self.broken + text[place.end() :]

    def _places(self, text: str) -> list[re.Match[str]]:
        """Where the guard is, however its lines are broken."""
        return list(re.finditer(r"\s+".join(map(re.escape, self.guard.split())), text))
