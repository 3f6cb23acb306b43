"""The page on the architecture shows the rooms as the import contracts order them, and names what exists."""

import re

import pytest

from tests.architecture.drawing import PACKAGE, PAGE, ROOT, drawing, drawn, orders

pytestmark = pytest.mark.once

PATH = re.compile(r"`((?:[a-z_-]+/)*[a-z_-]+(?:/|\.py|\.lua|\.md|\.toml))`")


def test_the_drawing_of_the_page_is_what_the_contracts_say() -> None:
    """Where it is not: ``python -m tests.architecture.drawing --write``."""
    assert drawn(PAGE.read_text()) == drawing()


def test_the_page_has_a_sentence_on_every_room() -> None:
    page = PAGE.read_text()
    house = dict(orders())[PACKAGE]
    names = {f"{name}/" if (ROOT / PACKAGE / name).is_dir() else f"{name}.py" for layer in house for name in layer}
    assert [name for name in sorted(names) if f"- `{name}`" not in page] == []


def test_every_path_of_the_page_exists() -> None:
    """Below the package, within one of its rooms, or in the repository."""
    paths = PATH.findall(PAGE.read_text())
    assert len(paths) > 50
    folders = (ROOT, ROOT / PACKAGE, *(path for path in (ROOT / PACKAGE).iterdir() if path.is_dir()))
    assert [path for path in paths if not any((folder / path).exists() for folder in folders)] == []
