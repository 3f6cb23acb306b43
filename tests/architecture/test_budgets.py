"""How long things may be and what they may not be called."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import pytest

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ("chat_memory",)
WRITTEN = ("chat_memory", "example_project", "tests")

LINES = {"module": 400, "class": 300, "function": 50}
MEDIAN_LINES = {"module": 100, "function": 6}
EMPTY_NAMES = {"common", "core", "helper", "helpers", "misc", "util", "utils"}

# The name of what is over its budget, as the failing test prints it, and the reason why it may be.
EXCEPTIONS: dict[str, str] = {}


@dataclass(frozen=True)
class Piece:
    """A module, class or function, by a name such as `chat_memory/records.py:Message.to_dict`."""

    kind: str
    name: str
    lines: int


def pieces(folders: tuple[str, ...]) -> Iterator[Piece]:
    """Everything below those folders; migrations are left out, for the schema decides how long they are."""
    for path in (path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))):
        if "migrations" not in path.relative_to(ROOT).parts[:-1]:
            name, text = path.relative_to(ROOT).as_posix(), path.read_text()
            yield Piece("module", name, len(text.splitlines()))
            yield from definitions(ast.parse(text), f"{name}:")


def definitions(node: ast.AST, prefix: str) -> Iterator[Piece]:
    """The classes and functions inside a node, those inside them too."""
    for child in ast.iter_child_nodes(node):
        inner = prefix
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            kind = "class" if isinstance(child, ast.ClassDef) else "function"
            yield Piece(kind, prefix + child.name, (child.end_lineno or child.lineno) - child.lineno + 1)
            inner = f"{prefix}{child.name}."
        yield from definitions(child, inner)


def over_budget(folders: tuple[str, ...]) -> set[str]:
    """The names of all pieces that are longer than their kind may be."""
    return {piece.name for piece in pieces(folders) if piece.lines > LINES[piece.kind]}


def test_no_piece_is_too_long() -> None:
    """The exceptions are listed with their reasons, and go when the reason is gone."""
    assert all(EXCEPTIONS.values())
    assert over_budget(WRITTEN) == set(EXCEPTIONS)


@pytest.mark.parametrize("kind", MEDIAN_LINES)
def test_most_pieces_are_short(kind: str) -> None:
    assert median(piece.lines for piece in pieces(SHIPPED) if piece.kind == kind) <= MEDIAN_LINES[kind]


def test_names_say_something() -> None:
    paths = [Path(piece.name) for piece in pieces(WRITTEN) if piece.kind == "module"]
    assert [path for path in paths if EMPTY_NAMES & {path.stem, *path.parent.parts}] == []
