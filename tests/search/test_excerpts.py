"""S2.30. What an excerpt marks, and that what it takes to mark it does not grow with what a language found."""

import re
from typing import Any

import pytest

from chat_memory.rules.searching import understood
from chat_memory.search.excerpts import Part, excerpt
from chat_memory.search.statements import START, STOP

pytestmark = pytest.mark.once


def marked_in(text: str, search: str, *found: str) -> list[str]:
    """The words of a text that are marked, where PostgreSQL marks those found."""
    headline = " ".join(f"{START}{form}{STOP}" for form in found)
    pieces = excerpt(Part(text, 0, len(text)), understood(search), headline)
    assert "".join(piece.text for piece in pieces).rstrip("…") in text
    return [piece.text for piece in pieces if piece.marked]


def test_a_word_is_marked_in_every_form_of_the_language() -> None:
    assert marked_in("Bakers baking, bake; bakery", "bake", "Bakers", "baking", "bake") == ["Bakers", "baking", "bake"]
    said = "rye-bread of a@b.org and xa@b.org, again a@b.org"
    assert marked_in(said, "c", "rye-bread", "a@b.org", "a@b.org") == ["rye-bread", "a@b.org", "a@b.org"]
    assert marked_in("it stays, it stays", "stay", "stays", " ", "elsewhere") == ["stays", "stays"]


def test_what_is_compiled_does_not_grow_with_the_forms(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[int] = []
    compile_it = re.compile

    def counted(pattern: Any, flags: int = 0) -> Any:
        compiled.append(len(pattern))
        return compile_it(pattern, flags)

    monkeypatch.setattr(re, "compile", counted)
    words = [f"{'ab'[number % 2]}{number}" for number in range(1_000)]
    signs = [f"a{number}@example.com" for number in range(300)]
    assert marked_in(" ".join([*words, *signs]), "a* or b*", *words, *signs)[:2] == ["a0", "b1"]
    assert max(compiled) < 100
