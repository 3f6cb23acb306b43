"""Every feature of the documents has a test that names it, or a line on the page that says why it has none."""

import pytest

from tests.features.table import LATER, PAGE, Feature, features, ids_in, named_by_tests, table

pytestmark = pytest.mark.once

NUMBERS = {"S0": 42, "S1": 60, "S2": 30, "S3": 18, "N": 45, "R": 24, "J": 37, "E": 19}
"""How many rows each part of the list has."""


def part_of(name: str) -> str:
    return name.partition(".")[0] if name.startswith("S") else name[0]


def test_the_list_is_whole() -> None:
    names = [feature.id for feature in features()]
    assert {part: sum(part_of(name) == part for name in names) for part in NUMBERS} == NUMBERS
    assert len(names) == sum(NUMBERS.values())


def test_no_feature_is_nowhere() -> None:
    """Where one is: ``python -m tests.features missing``."""
    rows = table(features(), named_by_tests(), PAGE.read_text())
    assert [row.feature.id for row in rows if row.status == "missing"] == []


def test_no_test_names_a_feature_that_is_not_there() -> None:
    known = {feature.id for feature in features()}
    assert [name for name in named_by_tests() if name not in known] == []


def test_what_waits_is_there() -> None:
    """A pattern of no row would be forgotten."""
    rows = table(features(), {}, "")
    assert {row.where for row in rows if row.status == "later"} == set(LATER.values())


def test_a_row_is_judged_by_tests_and_page() -> None:
    rows = [Feature("S3.1", "a", None), Feature("S3.2", "b", "some words"), Feature("S3.3", "c", "more words")]
    found = table(rows, {"S3.1": ["x.py::test_x", "y.py::test_y"]}, "\nsome words\nmore words, more words\nmore words")
    assert [(row.status, row.where) for row in found] == [
        ("tested", "x.py::test_x (+1)"),
        ("said", "docs/coming-from.md:2"),
        ("missing", ""),
    ]


def test_ids_are_found_as_words_and_ranges() -> None:
    assert [*ids_in("S0.2, N01-N03 and R14; MAIN17, N100, S2.7.")] == ["S0.2", "N01", "N02", "N03", "R14", "S2.7"]
    with pytest.raises(ValueError, match="no range"):
        [*ids_in("N03-R05")]
