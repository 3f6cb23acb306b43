"""The least versions that ``tox run -e lowest`` installs are those that pyproject names."""

import re
import tomllib
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[2]
FLOOR = re.compile(r"([A-Za-z0-9_.-]+)(?:\[.*\])?>=([0-9.]+)")


def test_least_versions_are_those_of_the_project() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = config["dependency-groups"]
    named = [
        *config["project"]["dependencies"],
        *(line for extra in config["project"]["optional-dependencies"].values() for line in extra),
        *(line for name in ("example", "servers", "suite", "test") for line in groups[name] if isinstance(line, str)),
    ]
    floors = {found[1]: found[2] for line in named if (found := FLOOR.match(line))}
    assert [line for line in named if not FLOOR.match(line)] == []
    pinned = dict(line.split("==") for line in (ROOT / "tests" / "lowest.txt").read_text().split())
    assert pinned == floors
