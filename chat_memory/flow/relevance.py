"""Owns the search for messages of a history that are similar to a text, by a host's embedder."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from inspect import isawaitable
from math import sqrt
from typing import Any

from chat_memory.flow.base import Wrapper
from chat_memory.records import Message, text_of
from chat_memory.rules.numbers import whole_number

REMEMBERED = 10_000
"""The most texts whose vectors an object keeps."""


class ContextAwareHistory(Wrapper):
    """A history that can return the messages most similar to a text.

    An object embeds each text once. Messages without text, such as tool calls, are never found.

    Args:
        base_history: the wrapped history.
        embedder: an object whose method ``embed``, sync or async, returns the vector of a text.
    """

    def __init__(self, base_history: Any, embedder: Any) -> None:
        super().__init__(base_history)
        self.embedder = embedder
        self._vectors: OrderedDict[str, Sequence[float]] = OrderedDict()

    async def get_relevant_messages(self, query: str, max_messages: int = 10) -> list[Message]:
        """The messages most similar to a text, in their order; all, if there are no more than ``max_messages``.

        Raises:
            ValidationError: ``max_messages`` is not a whole number from 0.
        """
        limit, messages = whole_number(max_messages, "max_messages"), await self.get_messages()
        if len(messages) <= limit:
            return messages
        wanted = await self._vector(query)
        texts = [(place, text) for place, message in enumerate(messages) if (text := text_of(message))]
        scores = [(cosine_similarity(wanted, await self._vector(text)), -place) for place, text in texts]
        return [messages[place] for place in sorted(-place for _score, place in sorted(scores)[::-1][:limit])]

    async def _vector(self, text: str) -> Sequence[float]:
        found = self._vectors.get(text)
        if found is None:
            made = self.embedder.embed(text)
            found = self._vectors[text] = await made if isawaitable(made) else made
            if len(self._vectors) > REMEMBERED:
                self._vectors.popitem(last=False)
        return found


def cosine_similarity(one: Sequence[float], other: Sequence[float]) -> float:
    """The cosine of the angle of two vectors, from -1 to 1; 0 if one of them is zero."""
    lengths = sqrt(sum(x * x for x in one)) * sqrt(sum(y * y for y in other))
    return sum(x * y for x, y in zip(one, other, strict=True)) / lengths if lengths else 0.0
