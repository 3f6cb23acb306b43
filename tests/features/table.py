"""Reads the list of features, and finds for each the tests that name it, or the line that says why there is none."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"
LIST = Path(__file__).with_name("rows.txt")
PAGE = ROOT / "docs" / "coming-from.md"

LATER: Mapping[str, str] = {
    r"N50": "turns",
    r"N54": "the life of data",
}
"""Patterns of the ids that are not judged yet, and what they wait for; a line goes when its rows are to be proved."""

_ROW = re.compile(r"(?P<id>[SNRJE][0-9.]+) +(?P<title>[^|]+?)(?: \| (?P<said>.+))?")
_NAME = r"S\d\.\d+|[NRJE]\d\d"
_NAMED = re.compile(rf"\b(?P<first>{_NAME})(?: ?[-–] ?(?P<last>{_NAME}))?\b")  # noqa: RUF001  # either dash


@dataclass(frozen=True)
class Feature:
    """A row of the list: its id, what it is, and the words of the line of the page that say why it has no test."""

    id: str
    title: str
    said: str | None


@dataclass(frozen=True)
class Judged:
    """A row of the table: a feature, its status, and where that is seen."""

    feature: Feature
    status: str
    where: str


def features() -> list[Feature]:
    """The rows of the list.

    Raises:
        ValueError: a line cannot be read, or an id is there twice.
    """
    lines = [line for line in LIST.read_text().splitlines() if line and not line.startswith("#")]
    rows = [_ROW.fullmatch(line) for line in lines]
    unread = [line for line, row in zip(lines, rows, strict=True) if row is None]
    found = [Feature(row["id"], row["title"], row["said"]) for row in rows if row]
    if unread or len({feature.id for feature in found}) < len(found):
        raise ValueError(f"{LIST.name} has lines that cannot be read, or an id twice: {unread}")
    return found


def named_by_tests(folder: Path = TESTS) -> dict[str, list[str]]:
    """For each id the tests whose docstring names it, as paths with the test's name."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted(folder.rglob("test_*.py")):
        for test in _tests_of(ast.parse(path.read_text())):
            for name in dict.fromkeys(ids_in(ast.get_docstring(test) or "")):
                found[name].append(f"{path.relative_to(folder).as_posix()}::{test.name}")
    return found


def ids_in(text: str) -> Iterator[str]:
    """The ids that a text names, also those between the two of a range such as ``N01-N20``."""
    for named in _NAMED.finditer(text):
        first, last = named["first"], named["last"]
        yield from (first,) if last is None else _between(first, last)


def table(rows: Sequence[Feature], tests: Mapping[str, Sequence[str]], page: str) -> list[Judged]:
    """The status of each row: tested, said (there is a line of the page), later, or missing."""
    return [_found(row, tests.get(row.id, ()), page) for row in rows]


def _found(row: Feature, tests: Sequence[str], page: str) -> Judged:
    later = next((what for pattern, what in LATER.items() if re.fullmatch(pattern, row.id)), None)
    if later is not None:
        return Judged(row, "later", later)
    if tests:
        more = f" (+{len(tests) - 1})" if len(tests) > 1 else ""
        return Judged(row, "tested", f"{tests[0]}{more}")
    lines = [number for number, line in enumerate(page.splitlines(), 1) if row.said and row.said in line]
    if len(lines) == 1:
        return Judged(row, "said", f"{PAGE.relative_to(ROOT).as_posix()}:{lines[0]}")
    return Judged(row, "missing", "")


def _tests_of(node: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """The tests of a module, and of its classes."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) and child.name.startswith("test_"):
            yield child
        elif isinstance(child, ast.ClassDef):
            yield from _tests_of(child)


def _between(first: str, last: str) -> Iterator[str]:
    """The ids from one to another of the same kind.

    Raises:
        ValueError: they are of two kinds, or in the wrong order.
    """
    begin, begins = re.fullmatch(r"(\D+|S\d\.)(\d+)", first), re.fullmatch(r"(\D+|S\d\.)(\d+)", last)
    if begin is None or begins is None or begin[1] != begins[1] or int(begin[2]) > int(begins[2]):
        raise ValueError(f"{first}-{last} is no range of ids")
    yield from (f"{begin[1]}{number:0{len(begin[2])}}" for number in range(int(begin[2]), int(begins[2]) + 1))
