"""Owns an embedder that needs no model and no network: texts that share words are similar."""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import blake2b

from chat_memory.exceptions import ValidationError

LARGEST = 16_000
_WORDS = re.compile(r"[^\W_]+")


class HashingEmbedder:
    """Counts the words of a text, each in the dimension that its hash selects; the result never changes.

    For tests, and where no model is at hand: it compares words, not their meaning.

    Args:
        dimensions: the length of a vector, 1 to 16,000; with few, different words share a dimension more often.
    """

    def __init__(self, dimensions: int = 256) -> None:
        if type(dimensions) is not int or not 1 <= dimensions <= LARGEST:
            raise ValidationError(f"must be a whole number from 1 to {LARGEST}", field="dimensions")
        self.dimensions = dimensions
        self.name = f"hashing-{dimensions}"

    def __call__(self, texts: Sequence[str]) -> list[list[float]]:
        """The vector of each text."""
        return [self._vector(text) for text in texts]

    def _vector(self, text: str) -> list[float]:
        vector = [0.0] * self.dimensions
        for word in _WORDS.findall(text.lower()):
            number = int.from_bytes(blake2b(word.encode(errors="replace"), digest_size=8).digest(), "big")
            # The sign also comes from the hash, so words that share a dimension cancel out as often as they add up.
            vector[(number >> 1) % self.dimensions] += 1.0 if number & 1 else -1.0
        return vector
