"""Why each dependency is there: docs/dependencies.md and pyproject.toml name the same ones."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[2]
ENTRY = re.compile(r"^- `(?P<name>[^`]+)`: \S.+\.$")


def declared() -> dict[str, set[str]]:
    """The dependencies of pyproject.toml by the heading they belong under."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = pyproject["project"]
    tables = {
        "Building": [pyproject["build-system"]["requires"]],
        "Running": [project["dependencies"]],
        "Extras": project["optional-dependencies"].values(),
        "Tests and tools": pyproject["dependency-groups"].values(),
    }
    return {heading: {name for table in found for name in dependency_names(table)} for heading, found in tables.items()}


def dependency_names(table: list[str | dict[str, str]]) -> set[str]:
    """The canonical names in a table; a group included in another is a table of its own."""
    return {canonicalize_name(Requirement(line).name) for line in table if isinstance(line, str)}


def documented() -> dict[str, list[str]]:
    """The entries of docs/dependencies.md by heading."""
    sections = (ROOT / "docs" / "dependencies.md").read_text().split("\n## ")[1:]
    return {section.splitlines()[0]: [entry(line) for line in section.splitlines()[2:] if line] for section in sections}


def entry(line: str) -> str:
    """The name in a line of the form "- `name`: reason."."""
    found = ENTRY.match(line)
    assert found, f"not of the form '- `name`: reason.': {line}"
    return found["name"]


def test_every_dependency_has_its_reason() -> None:
    assert documented() == {heading: sorted(table) for heading, table in declared().items()}
