"""Owns which of the calls before it a result answers; pure.

It answers the nearest call of its key. A call without an id, as Ollama and the templates of transformers have them, is
answered by a message in the role tool that has none either: the first open call of its name, or, where it names no
tool, the first open call of the newest message that has such calls.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from chat_memory.rules.calls import BY_ORDER, Key, tool_of

Place = tuple[int, Key]
"""The index of the message with a call, and the key of the call."""


class Callers:
    """The calls of the messages so far."""

    def __init__(self) -> None:
        self._calling: dict[Key, int] = {}
        self._of_tool: dict[str, deque[Place]] = {}
        self._newest: deque[Place] = deque()
        self._taken: set[Place] = set()

    def note(self, index: int, keys: Iterable[Key]) -> None:
        """Take note of the calls of a message."""
        unnamed = []
        for key in keys:
            if key[0] == BY_ORDER:
                unnamed.append((index, key))
            else:
                self._calling[key] = index
        if unnamed:
            self._newest = deque(unnamed)
            self._of_tool.update((tool_of(key), deque()) for _index, key in unnamed)
        for place in unnamed:
            self._of_tool[tool_of(place[1])].append(place)

    def answered(self, key: Key) -> Place | None:
        """The call that a result with this key answers; None: no call before it. A call without an id is open once."""
        if key[0] != BY_ORDER:
            return (self._calling[key], key) if key in self._calling else None
        tool = tool_of(key)
        open_calls = self._of_tool.get(tool) if tool else self._newest
        while open_calls:
            place = open_calls.popleft()
            if place not in self._taken:
                self._taken.add(place)
                return place
        return None
