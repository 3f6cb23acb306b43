"""docs/reference/limits.md has every limit of the code, each with the number that it has there."""

import ast
import importlib
import re
from pathlib import Path
from typing import Any

import pytest

import chat_memory
from chat_memory.conf import NAMES, Settings

pytestmark = pytest.mark.once

PACKAGE = Path(chat_memory.__file__).parent
PAGE = PACKAGE.parent / "docs" / "reference" / "limits.md"
ROWS = dict(re.findall(r"^\| `([\w.]+)` \| ([^|]+) \|", PAGE.read_text(), re.MULTILINE))
"""The text of each limit, by its name."""
IS_LIMIT = re.compile(r"(MAX|LARGEST|LONGEST|HEAVIEST)(_|$)|[A-Z]+_LENGTH$")


def constants() -> set[str]:
    """The public constants of the package whose names say that they are limits, as module and name."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        if module.startswith("testing"):
            continue
        for node in ast.parse(path.read_text()).body:
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            names = [target.id for target in targets if isinstance(target, ast.Name)]
            found |= {f"{module}.{name}" for name in names if IS_LIMIT.match(name)}
    return found


def value_of(name: str) -> Any:
    """What the code says: the default of a setting, or a constant."""
    if name in NAMES:
        return getattr(Settings(), NAMES[name])
    module, _dot, constant = name.rpartition(".")
    return getattr(importlib.import_module(f"chat_memory.{module}"), constant)


def test_every_limit_has_its_row() -> None:
    numbers = {name for name in NAMES if type(value_of(name)) in (int, float)}
    wanted = constants() | numbers
    assert wanted - ROWS.keys() == set()
    assert len(wanted) > 20


@pytest.mark.parametrize("name", ROWS)
def test_the_row_has_the_number_of_the_code(name: str) -> None:
    value = value_of(name)
    numbers = [float(text.replace(",", "")) for text in re.findall(r"\d[\d,.]*", ROWS[name].replace(", ", " "))]
    assert numbers == [float(number) for number in (value.values() if isinstance(value, dict) else [value])]
