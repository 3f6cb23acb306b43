"""Owns finding the messages of a history that are about a question, by a host's embedder."""

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
"""The vectors of at most so many texts are kept in an object."""


class ContextAwareHistory(Wrapper):
    """Another history, which can be asked for the messages that are closest to a text.

    The vector of a text is made once for an object. Messages without words, such as calls of tools, are never found.

    Args:
        base_history: the other history.
        embedder: has a method ``embed``, sync or async, that gives the vector of a text.
    """

    def __init__(self, base_history: Any, embedder: Any) -> None:
        super().__init__(base_history)
        self.embedder = embedder
        self._vectors: OrderedDict[str, Sequence[float]] = OrderedDict()

    async def get_relevant_messages(self, query: str, max_messages: int = 10) -> list[Message]:
        """The messages closest to a text, in the order in which they were said; all, where there are no more of them.

        Raises:
            ValidationError: ``max_messages`` is no whole number from 0.
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
    """How alike two vectors point, from -1 to 1; 0 where one of them has no length."""
    lengths = sqrt(sum(x * x for x in one)) * sqrt(sum(y * y for y in other))
    return sum(x * y for x, y in zip(one, other, strict=True)) / lengths if lengths else 0.0
