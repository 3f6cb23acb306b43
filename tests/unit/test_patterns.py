"""Every pattern of the package takes time that grows with the text alone, used in the way that its module uses it."""

import importlib
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import chat_memory

pytestmark = pytest.mark.once

PACKAGE = Path(chat_memory.__file__).parent
SIZE = 50_000
"""Characters of a text; a pattern that looks at each pair of them takes minutes."""
BEGINNINGS = (
    "",
    "https://",
    "Object contains unknown field `",
    "Object missing required field `",
    "Expected `",
    "2026",
)
REPEATED = ("a", "0", '"', ";", ';"', "\\", "\\u0041", "`", " ", ".", "-", "\x01", "Expected `a", ";=")
ENDS = ("", "\x00")
PATTERN = re.compile(r"^(\w+) = re\.compile\(", re.MULTILINE)


def uses() -> Iterator[Any]:
    """Each module-level pattern with each of its methods that the module calls."""
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text()
        for name in PATTERN.findall(text):
            for method in sorted(set(re.findall(rf"\b{name}\.(\w+)\(", text))):
                module = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
                yield pytest.param(module, name, method, id=f"{module}.{name}.{method}")


def test_every_pattern_is_found_with_a_use() -> None:
    named = {parameter.values[1] for parameter in uses()}
    written = {name for path in PACKAGE.rglob("*.py") for name in PATTERN.findall(path.read_text())}
    assert named == written
    assert len(named) > 10


@pytest.mark.parametrize(("module", "name", "method"), list(uses()))
def test_b1_a_pattern_is_linear(module: str, name: str, method: str) -> None:
    """B1: of a text without end, in the processor's time and not on the clock."""
    call = getattr(getattr(importlib.import_module(module), name), method)
    for beginning in BEGINNINGS:
        for repeated in REPEATED:
            for end in ENDS:
                text = beginning + repeated * (SIZE // len(repeated)) + end
                started = time.process_time()
                call(*(("", text) if method == "sub" else (text,)))
                assert time.process_time() - started < 2, (beginning, repeated, end)
