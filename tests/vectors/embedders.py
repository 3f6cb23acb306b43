"""Embedders that tests look at: one that counts what it is asked for, and those that fail."""

from collections.abc import Callable
from typing import Any

from chat_memory.vectors import HashingEmbedder

EMBED = HashingEmbedder()


class Counting:
    """As HashingEmbedder, and remembers the texts of each call."""

    def __init__(self, name: str = "counting", embed: Callable[[list[str]], Any] = EMBED) -> None:
        self.name = name
        self.embed = embed
        self.calls: list[list[str]] = []

    def __call__(self, texts: list[str]) -> Any:
        self.calls.append(list(texts))
        return self.embed(texts)

    @property
    def texts(self) -> list[str]:
        return [text for call in self.calls for text in call]


class Asynchronous(Counting):
    """The same with a coroutine."""

    async def __call__(self, texts: list[str]) -> Any:
        return super().__call__(texts)
