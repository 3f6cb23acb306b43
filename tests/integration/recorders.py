"""Recorders that a test names by dotted path in CHAT_MEMORY["RECORDER"]."""

from collections import Counter

heard: Counter[str] = Counter()


class Hearing:
    """Keeps what it is told."""

    def add(self, name: str, by: int) -> None:
        heard[name] += by


class Deaf:
    """Fails at everything."""

    def add(self, name: str, by: int) -> None:
        raise ConnectionError("nobody there")


not_a_recorder = object()
