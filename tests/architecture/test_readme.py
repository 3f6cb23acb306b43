"""tests/README.md leads from every module of the package to its tests, and from every test back."""

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[2]
PACKAGE, TESTS = ROOT / "chat_memory", ROOT / "tests"
PAGE = (TESTS / "README.md").read_text()
HEADING = "\n## Where a module is tested\n"
ROW = re.compile(r"^\| (?P<modules>`.+?`) \| (?P<tests>`.+?`) \|$", re.MULTILINE)
CODE = re.compile(r"`([^`]+)`")
LINK = re.compile(r"\]\(([^)]+)\)")


def table_rows() -> list[tuple[list[str], list[str]]]:
    """The rows of the table: paths of modules, and patterns of tests."""
    return [(CODE.findall(row["modules"]), CODE.findall(row["tests"])) for row in ROW.finditer(PAGE.split(HEADING)[1])]


def test_every_line_of_the_table_can_be_read() -> None:
    lines = [line for line in PAGE.split(HEADING)[1].splitlines() if line.startswith("|")]
    assert len(lines) == len(table_rows()) + 2  # heading and rule
    assert table_rows()


def test_every_module_is_covered_by_a_row() -> None:
    covered = [PACKAGE / module for modules, _tests in table_rows() for module in modules]
    modules = [path for path in PACKAGE.rglob("*.py") if path.read_text()]
    assert [path for path in modules if not any(path.is_relative_to(row) for row in covered)] == []


def test_every_test_is_named() -> None:
    """In the table, or below it; those of this folder are about all modules."""
    named = {path for pattern in CODE.findall(PAGE.split(HEADING)[1]) for path in TESTS.glob(pattern.rstrip("/"))}
    named.add(TESTS / "architecture")
    unnamed = [path for path in TESTS.rglob("test_*.py") if named.isdisjoint({path, *path.parents})]
    assert [path.relative_to(TESTS).as_posix() for path in unnamed] == []


def test_every_path_exists_and_no_module_has_two_rows() -> None:
    modules = [module for modules, _tests in table_rows() for module in modules]
    assert [module for module in modules if not (PACKAGE / module).exists()] == []
    assert sorted(set(modules)) == sorted(modules)
    tests = [test for _modules, tests in table_rows() for test in tests]
    assert [test for test in tests if not [*TESTS.glob(test.rstrip("/"))]] == []
    assert [link for link in LINK.findall(PAGE) if not (TESTS / link).exists()] == []


def test_every_folder_is_described() -> None:
    described = re.findall(r"^\| `(\w+)/` \|", PAGE.split(HEADING)[0], re.MULTILINE)
    folders = [path.name for path in TESTS.iterdir() if path.is_dir() and path.name != "__pycache__"]
    assert sorted(described) == sorted(folders)


def test_tests_that_the_page_on_security_names_are_there() -> None:
    named = {
        code for code in CODE.findall((ROOT / "SECURITY.md").read_text()) if re.fullmatch(r"\w+/test_\w+\.py", code)
    }
    assert len(named) > 20
    assert {name for name in named if not (TESTS / name).exists()} == set()
