"""Owns the call of a host's embedder and the check of its vectors; it must not store them."""

from __future__ import annotations

from array import array
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence, Set as AnySet
from inspect import isawaitable
from itertools import islice
from math import isfinite, sqrt
from typing import Any

from asgiref.sync import async_to_sync

from chat_memory import host_callables
from chat_memory.exceptions import EmbedderFailed, ValidationError
from chat_memory.rules.names import check_key
from chat_memory.storage.contract import Unembedded, Vector

Embed = Callable[[list[str]], Sequence[Sequence[float]] | Awaitable[Sequence[Sequence[float]]]]

BATCH_SIZE = 100
"""The most texts in one call of an embedder."""
LARGEST_VECTOR = 16_000
"""The most numbers of a vector; pgvector's type holds no more."""


class Embedder:
    """A host's embedder and the name of its model; its vectors are scaled to length 1, except all-zero ones."""

    def __init__(self, embed: Embed, name: str) -> None:
        self._embed = embed
        self.name = name

    def __call__(self, texts: Sequence[str], dimensions: int | None = None) -> list[Vector]:
        """The vector of each text; all have the same number of dimensions, ``dimensions`` if that is given.

        Raises:
            EmbedderFailed: it raised an error, or returned something else.
        """
        try:
            made = self._embed(list(texts))
            given = async_to_sync(_awaited)(made) if isawaitable(made) else made
            # Reading one vector more than there are texts detects too many, even from an endless iterator.
            vectors = [_numbers(each) for each in islice(_in_order(given), len(texts) + 1)]
        except Exception as error:
            raise EmbedderFailed(self.name, f"failed ({type(error).__name__})") from error
        self._check(vectors, len(texts), dimensions)
        return [_of_length_one(each) for each in vectors]

    def of_messages(
        self, messages: Sequence[Unembedded], dimensions: int | None = None
    ) -> list[tuple[Unembedded, Vector]]:
        """The messages with their vectors; a message without text is not embedded and gets an empty vector."""
        texts = [message.text for message in messages if message.text]
        vectors = iter(self(texts, dimensions) if texts else ())
        return [(message, next(vectors) if message.text else ()) for message in messages]

    def _check(self, vectors: Sequence[Sequence[float]], number: int, dimensions: int | None) -> None:
        """Check the number of the vectors, their sizes and their values.

        Raises:
            EmbedderFailed: one is wrong; the text says which.
        """
        if len(vectors) != number:
            gave = "more" if len(vectors) > number else str(len(vectors))
            raise EmbedderFailed(self.name, f"gave {gave} vectors for {number} texts")
        sizes = {len(each) for each in vectors}
        wanted = next(iter(sizes), 0) if dimensions is None else dimensions
        if not 1 <= wanted <= LARGEST_VECTOR:
            gave = "more" if wanted > LARGEST_VECTOR else str(wanted)
            raise EmbedderFailed(self.name, f"gave vectors of {gave} numbers, not of 1 to {LARGEST_VECTOR}")
        if sizes - {wanted}:
            raise EmbedderFailed(self.name, f"gave vectors of {max(sizes - {wanted})} numbers beside those of {wanted}")
        if not all(map(isfinite, (value for each in vectors for value in each))):
            raise EmbedderFailed(self.name, "gave a number that is not finite")


def usable(embedder: Any = None) -> Embedder:
    """The caller's embedder, or else the settings'.

    Raises:
        ValidationError: there is none, it cannot be called, or its model has no usable name.
    """
    embed, path = (embedder, None) if embedder is not None else host_callables.embedder() or (None, None)
    if embed is None:
        raise ValidationError("is not given, and the setting EMBEDDER names none", field="embedder")
    if not callable(embed):
        raise ValidationError(f"must be callable, not {type(embed).__name__}", field="embedder")
    name = getattr(embed, "name", path)
    if name is None:
        raise ValidationError("must say in its attribute 'name' which model it is", field="embedder")
    check_key(name, "embedder.name")
    return Embedder(embed, str.__str__(name))


async def _awaited(vectors: Awaitable[Any]) -> Any:
    return await vectors


def _numbers(given: Any) -> array[float]:
    """One vector as numbers.

    Raises:
        TypeError: it holds something other than numbers.
    """
    return array("d", islice(_in_order(given), LARGEST_VECTOR + 1))


def _in_order(given: Any) -> Iterable[Any]:
    """The value, if it may be a sequence of vectors or numbers.

    Raises:
        TypeError: it is text, bytes, a set or a mapping.
    """
    if isinstance(given, (str, bytes, bytearray, memoryview, AnySet, Mapping)):
        raise TypeError(f"neither vectors nor numbers: {type(given).__name__}")
    ordered: Iterable[Any] = given
    return ordered


def _of_length_one(vector: Sequence[float]) -> Vector:
    """The vector scaled to length 1; dividing by the largest number first keeps the squares from overflowing.

    The result is in single precision, as it is stored: a number too small for that becomes 0, because the database
    would refuse it.
    """
    largest = max(map(abs, vector)) or 1.0
    scaled = [value / largest for value in vector]
    length = sqrt(sum(value * value for value in scaled)) or 1.0
    return array("f", [value / length for value in scaled])
