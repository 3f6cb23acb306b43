"""Owns how a host's embedder is called, and that what it gives is usable; it must not store any of it."""

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
"""Texts that an embedder is given at once."""
LARGEST_VECTOR = 16_000
"""Numbers of an embedding; what pgvector's type holds."""


class Embedder:
    """A host's embedder, with the name of its model; what it gives has length 1, or is 0 throughout."""

    def __init__(self, embed: Embed, name: str) -> None:
        self._embed = embed
        self.name = name

    def __call__(self, texts: Sequence[str], dimensions: int | None = None) -> list[Vector]:
        """The vector of each text; all are as long as each other, and as ``dimensions`` says.

        Raises:
            EmbedderFailed: it raised, or gave something else.
        """
        try:
            made = self._embed(list(texts))
            given = async_to_sync(_awaited)(made) if isawaitable(made) else made
            # One more than is taken shows that there are too many, also where what was given has no end.
            vectors = [_numbers(each) for each in islice(_in_order(given), len(texts) + 1)]
        except Exception as error:
            raise EmbedderFailed(self.name, f"failed ({type(error).__name__})") from error
        self._check(vectors, len(texts), dimensions)
        return [_of_length_one(each) for each in vectors]

    def of_messages(
        self, messages: Sequence[Unembedded], dimensions: int | None = None
    ) -> list[tuple[Unembedded, Vector]]:
        """Messages with their vectors; of a message without words nothing is asked, and it has none."""
        texts = [message.text for message in messages if message.text]
        vectors = iter(self(texts, dimensions) if texts else ())
        return [(message, next(vectors) if message.text else ()) for message in messages]

    def _check(self, vectors: Sequence[Sequence[float]], number: int, dimensions: int | None) -> None:
        """What was given fits what was asked for.

        Raises:
            EmbedderFailed: it does not; the text says in what.
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
        TypeError: it has something else than numbers.
    """
    return array("d", islice(_in_order(given), LARGEST_VECTOR + 1))


def _in_order(given: Any) -> Iterable[Any]:
    """What has an order that means something.

    Raises:
        TypeError: it is text, bytes, a set or a mapping.
    """
    if isinstance(given, (str, bytes, bytearray, memoryview, AnySet, Mapping)):
        raise TypeError(f"neither vectors nor numbers: {type(given).__name__}")
    ordered: Iterable[Any] = given
    return ordered


def _of_length_one(vector: Sequence[float]) -> Vector:
    """The vector in the same direction; its largest number comes out first, so that no square is too large.

    Its numbers are of single precision, as those that are kept: one too small for that is 0, and no error of the
    database that is to take it.
    """
    largest = max(map(abs, vector)) or 1.0
    scaled = [value / largest for value in vector]
    length = sqrt(sum(value * value for value in scaled)) or 1.0
    return array("f", [value / length for value in scaled])
