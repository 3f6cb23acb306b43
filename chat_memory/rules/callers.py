"""Owns which of the calls before it a result answers; pure.

It answers the nearest call of its key. A message in the role tool without the id of a call, as Ollama and the templates
of transformers have it, answers the first open call of the tool that it names; where it names none, the first open call
without an id of the newest message that has such calls.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from chat_memory.rules.calls import BY_ORDER, OPENAI, Call, Key, tool_of

Place = tuple[int, Key]
"""The index of the message with a call, and the key of the call."""


class Callers:
    """The calls of the messages so far."""

    def __init__(self) -> None:
        self._calling: dict[Key, int] = {}
        self._of_tool: dict[str, deque[Place]] = {}
        self._newest: deque[Place] = deque()
        self._taken: set[Place] = set()

    def note(self, index: int, calls: Iterable[Call]) -> None:
        """Take note of the calls of a message."""
        of_tool: dict[str, deque[Place]] = {}
        unnamed: deque[Place] = deque()
        for key, tool, _arguments in calls:
            if key is None:
                continue
            self._calling[key] = index
            if key[0] in (OPENAI, BY_ORDER):
                of_tool.setdefault(tool, deque()).append((index, key))
            if key[0] == BY_ORDER:
                unnamed.append((index, key))
        self._of_tool.update(of_tool)
        self._newest = unnamed or self._newest

    def answered(self, key: Key) -> Place | None:
        """The call that a result with this key answers; None: none before it, or none that is open."""
        if key[0] != BY_ORDER:
            if key not in self._calling:
                return None
            self._taken.add((self._calling[key], key))
            return self._calling[key], key
        tool = tool_of(key)
        open_calls = self._of_tool.get(tool) if tool else self._newest
        while open_calls:
            place = open_calls.popleft()
            if place not in self._taken:
                self._taken.add(place)
                return place
        return None
