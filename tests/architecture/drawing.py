"""Draws the rooms of the package for docs/explanation/architecture.md, from the import contracts of pyproject.toml.

``python -m tests.architecture.drawing`` prints the drawing; with ``--write`` it goes into the page.
"""

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "explanation" / "architecture.md"
BEGIN, END = "<!-- drawing: begin -->", "<!-- drawing: end -->"
PACKAGE = "chat_memory"
_BETWEEN = re.compile(r"[|:]")


def contracts() -> list[dict[str, Any]]:
    """The import contracts, as pyproject.toml has them."""
    found: list[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
        "contracts"
    ]
    return found


def orders() -> Iterator[tuple[str, list[list[str]]]]:
    """For each room whose modules have an order: its name, and its layers from the top, as far as they exist."""
    for contract in contracts():
        for container in contract.get("containers", ()):
            layers = [rooms(container, layer) for layer in contract["layers"]]
            yield container, [layer for layer in layers if layer]


def rooms(container: str, layer: str) -> list[str]:
    """The modules of one layer that exist: those in parentheses need not."""
    names = [name.strip().strip("()") for name in _BETWEEN.split(layer)]
    return [name for name in names if is_module(f"{container}.{name}")]


def is_module(name: str) -> bool:
    """Whether the package has that module or sub-package."""
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def drawing() -> str:
    """The drawing in Mermaid: the layers of the package, and beside each of its rooms that has an order, that order."""
    found = dict(orders())
    house = found[PACKAGE]
    lines = chain("house", house)
    for number, layer in enumerate(house):
        for name in layer:
            if inner := found.get(f"{PACKAGE}.{name}"):
                lines += [*box(name, inner), f"    house_{number} -.- {name}"]
    return "\n".join(["```mermaid", "flowchart TD", *lines, "```"])


def box(name: str, layers: list[list[str]]) -> list[str]:
    """The layers of one room, in a box with its name."""
    return [f"    subgraph {name}", "        direction TB", *chain(name, layers, "        "), "    end"]


def chain(name: str, layers: list[list[str]], indent: str = "    ") -> list[str]:
    """A node for each layer, with arrows from each to the next below."""
    ids = [f"{name}_{number}" for number in range(len(layers))]
    nodes = [f'{indent}{node}["{" · ".join(layer)}"]' for node, layer in zip(ids, layers, strict=True)]
    return [*nodes, f"{indent}{' --> '.join(ids)}"]


def drawn(page: str) -> str:
    """What stands between the markers of the page."""
    return page.partition(BEGIN)[2].partition(END)[0].strip()


def main() -> None:
    """Print the drawing, or write it into the page."""
    if "--write" not in sys.argv[1:]:
        sys.stdout.write(f"{drawing()}\n")
        return
    text = PAGE.read_text()
    before, _begin, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n{drawing()}\n{END}{after}")


if __name__ == "__main__":
    main()
