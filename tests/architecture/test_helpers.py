"""How tests are written: a name means one helper in all modules, and a statement does one thing."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

TESTS = Path(__file__).resolve().parents[1]
PROGRAMS = TESTS / "benchmarks"
"""Its modules prove nothing, and what each times has the name of its row in the table."""
OF_ALL_DATABASES = re.compile(r"redis_client\.(info|client_list|config_\w+|script_flush|flushall|slowlog\w*)\(")
"""What a Redis says and does for all its databases, of which other workers of a run have theirs."""
ENTRIES = frozenset({"main", "Migration"})
"""The names that every program, and every migration, has to use."""


def modules() -> Iterator[tuple[Path, ast.Module]]:
    """Everything below tests/."""
    for path in sorted(TESTS.rglob("*.py")):
        yield path, ast.parse(path.read_text())


def helpers() -> Iterator[tuple[str, str]]:
    """Each helper that a module defines for itself or for others, by its name, with its place."""
    for path, module in modules():
        if PROGRAMS not in path.parents:
            for node in module.body:
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                    yield node.name, f"{path.relative_to(TESTS).as_posix()}:{node.lineno}"


def is_helper(name: str) -> bool:
    """Not a test, and not private: a reader knows that a name with an underscore stands in the same file."""
    return not name.startswith(("test_", "Test", "_", "pytest_")) and name not in ENTRIES


def test_one_name_means_one_helper() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for name, place in helpers():
        if is_helper(name):
            places[name].append(place)
    assert len(places) > 200
    doubled = [f"{name}: {', '.join(found)}" for name, found in places.items() if len(found) > 1]
    assert not doubled, "\n".join(doubled)


def test_a_statement_does_one_thing() -> None:
    """Two calls are two lines, rather than a tuple that nobody takes."""
    tuples = [
        f"{path.relative_to(TESTS).as_posix()}:{node.lineno}"
        for path, module in modules()
        for node in ast.walk(module)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Tuple)
    ]
    assert tuples == []


def test_a_shared_server_is_asked_for_nothing_that_others_change() -> None:
    """What counts or resets for a whole server wants one that a test has for itself: the fixture `lone_redis`."""
    found = [
        f"{path.relative_to(TESTS).as_posix()}: {asked[0]}"
        for path, _ in modules()
        for asked in OF_ALL_DATABASES.finditer(path.read_text())
    ]
    assert found == []
