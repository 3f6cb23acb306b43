"""Owns which calls the provider runs itself, and which of them have their results among an assistant's parts; pure.

A program that Anthropic runs may call the caller's tools: their results stand between its own call and its own result.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chat_memory.choices import Role
from chat_memory.records import Message
from chat_memory.rules import calls as rule
from chat_memory.rules.calls import Key


class Served:
    """What of assistants' messages is answered by themselves: by the message with the call, or by one right behind it.

    By the index of a message, ``calls`` has the keys of its calls that are, and ``results`` the places of its results
    that are of such calls; none where it has other results alone.
    """

    def __init__(self, messages: Sequence[Message]) -> None:
        self.calls: dict[int, set[Key | None]] = {}
        self.results: dict[int, set[int]] = {
            index: set()
            for index, message in enumerate(messages)
            if message.role == Role.ASSISTANT.value
            and isinstance(message.content, list)
            and any(map(rule.is_result, message.content))
        }
        called: dict[Key | None, int] = {}
        for index, message in enumerate(messages):
            if message.role == Role.ASSISTANT.value:
                self._note(index, message.content if isinstance(message.content, list) else [], called)
            elif message.role != Role.SYSTEM.value and not rule.is_results_alone(message.content):
                called.clear()
        self._open = called

    def running(self, index: int, message: Message, wanted: set[Key | None]) -> set[Key | None]:
        """The calls of a message that its provider is still at, waiting for wanted calls which they make."""
        parts = message.content if isinstance(message.content, list) else []
        both = zip(parts, rule.part_calls(parts), strict=True)
        made_by = {rule.caller(part) for part, call in both if call and call.key in wanted}
        return {key for key in made_by if key and self._open.get(key) == index}

    def _note(self, index: int, parts: list[Any], called: dict[Key | None, int]) -> None:
        both = zip(rule.part_calls(parts), rule.part_answers(parts), strict=True)
        for place, (call, result) in enumerate(both):
            if call is not None and call.key is not None and rule.may_serve(call.key):
                called[call.key] = index
            if result in called:
                self.calls.setdefault(called.pop(result), set()).add(result)
                self.results[index].add(place)
