"""Every attack that was tried once is repeated by a test that names it, or told on the page on security."""

import ast
import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

TESTS = Path(__file__).resolve().parents[1]
SECURITY = " ".join((TESTS.parent / "SECURITY.md").read_text().split())
FAULTS = {"A": (1, 3, 7, 9, 11, 14, 19), "B": (1, 2, 4), "C": (1, 2, 4, 6), "D": (1, 2), "E": (5,), "G": (1, 2)}
"""A promise was broken, a right exceeded, or a door closed by a cheap call."""
WEAK = {"A": (6, 12, 13), "B": (6, 7), "C": (5, 9, 10, 25), "D": (3, 4, 6, 7), "E": (6,)}
"""What was allowed or documented, and of use to a stranger."""
HELD = {
    "A": (15, 16, 17, 18),
    "B": (8, 9, 10, 11),
    "C": (8, *range(11, 25), 26, 27),
    "D": (5, 8, 9),
    "E": (1, 2, 3, 4, 7),
    "F": (1,),
}
"""What was tried and failed."""
TOLD = {
    "A13": "Whoever may add workspaces takes a slug before your code first writes to it.",
    "C25": "With `SUMMARIZE_AT` the summarizer runs in the request that made it due",
    "D3": "Entries of the cache are not signed.",
}
"""What no test can show, since it is so, in the words of the page."""


def attack_ids(*groups: dict[str, tuple[int, ...]]) -> set[str]:
    """The ids of attacks, such as A1."""
    return {f"{letter}{number}" for group in groups for letter, numbers in group.items() for number in numbers}


def named_attacks() -> set[str]:
    """The ids at the beginning of the names of tests, and in their docstrings and those of their modules."""
    found: set[str] = set()
    for path in TESTS.rglob("test_*.py"):
        tree = ast.parse(path.read_text())
        texts = [ast.get_docstring(tree) or ""]
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("test_"):
                texts.append(ast.get_docstring(node) or "")
                found |= {match.upper() for match in re.findall(r"^test_([a-g]\d+)_", node.name)}
        found |= {match for text in texts for match in re.findall(r"\b[A-G]\d+\b", text)}
    return found


def test_every_attack_is_repeated_by_a_test_or_told() -> None:
    assert attack_ids(FAULTS, WEAK, HELD) - TOLD.keys() - named_attacks() == set()


def test_no_fault_is_only_told() -> None:
    assert TOLD.keys() <= attack_ids(WEAK)
    assert [words for words in TOLD.values() if words not in SECURITY] == []
