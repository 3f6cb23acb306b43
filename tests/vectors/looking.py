"""Looks into the database of the run for embeddings, and shows what a call of ``relevant`` gives."""

from collections.abc import Iterable, Sequence
from math import sqrt
from typing import Any

from chat_memory.records import Relevant
from chat_memory.vectors.models import Embedding
from tests.vectors.embedders import EMBED


def embeddings(model: str | None = None) -> int:
    """How many embeddings there are, of all models or of one."""
    rows = Embedding._default_manager.all()
    return (rows if model is None else rows.filter(model=model)).count()


def saying(found: Iterable[Relevant]) -> list[Any]:
    """The contents of what was found, in its order."""
    return [each.message.content for each in found]


def cosine(one: str, other: str) -> float:
    """How alike two texts are for HashingEmbedder, computed in the plainest way."""
    first, second = EMBED([one, other])
    return _product(first, second) / sqrt(_product(first, first) * _product(second, second))


def _product(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(x * y for x, y in zip(one, other, strict=True))
