"""Owns the view of a history's newest messages; it must not remove any."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from chat_memory.exceptions import ValidationError
from chat_memory.flow.base import Wrapper
from chat_memory.flow.messages import as_message
from chat_memory.history.windows import shown
from chat_memory.records import Budget, Message
from chat_memory.rules.numbers import whole_number
from chat_memory.storage.windowing import newest_turns


class SlidingWindowChatHistory(Wrapper):
    """The newest messages of a history, as a model takes them: whole turns, and the system messages.

    The wrapped history keeps all messages. If it is in a database or in Redis, only the window is read.

    Args:
        base_history: the other history.
        window_size: the most messages to show, from 1; system messages do not count.

    Raises:
        ValidationError: ``window_size`` is not a whole number from 1.
    """

    def __init__(self, base_history: Any, window_size: int = 10) -> None:
        super().__init__(base_history)
        self.base_history = base_history
        self.window_size = check_window(window_size)

    async def get_messages(self) -> list[Message]:
        """The newest messages, oldest first."""
        stored = self.beneath
        if stored is not None:
            return await stored.get_window(self.window_size)
        return newest(await self.base.get_messages(), self.window_size)


def check_window(size: object) -> int:
    """The size of a window, checked.

    Raises:
        ValidationError: it is not a whole number from 1.
    """
    if whole_number(size, "window_size") == 0:
        raise ValidationError("must be a whole number from 1; None is no window", field="window_size")
    return whole_number(size, "window_size")


def newest(messages: Sequence[Any], size: int) -> list[Message]:
    """As ``StoredHistory.get_window``, for a list of all messages."""
    ready = numbered(messages)
    wanted = Budget(messages=size, greeting=True)
    found = shown(newest_turns(ready, wanted, has_all=True) or [], wanted, pending=True)
    return found if any(message.role != "system" for message in found) else ready[-size:]


def numbered(messages: Sequence[Any]) -> list[Message]:
    """The messages with positions; counted from 1 unless all of them have one."""
    if all(isinstance(message, Message) and message.seq is not None for message in messages):
        return list(messages)
    return [msgspec.structs.replace(as_message(message), seq=seq) for seq, message in enumerate(messages, 1)]
